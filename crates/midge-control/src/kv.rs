//! Values that functions keep, as an administrator looks at them and changes them.
//!
//! Decides who may, and that a change is written down. Keeping them is the store's; functions come
//! to theirs without any of this.
//!
//! **Invariant:** no value stands in an answer that is a list, in an error, a log line or an audit
//! entry; and a token whose policy refuses a bucket comes to nothing in it.

use std::str::FromStr;

use bytes::Bytes;
use midge_api::{BucketInfo, EntryKey, ErrorCode, Page};
use midge_model::{BucketName, ENTRY_KEY_BYTES_MAX, NamespaceName};
use midge_store::{Bucket, Entry, SetError};
use serde_json::json;

use crate::audit::Deed;
use crate::control::Control;
use crate::error::ControlError;
use crate::page::{PageRequest, page};
use crate::role::Operation;
use crate::who::Who;

/// Characters of a key that stand in an audit entry.
const KEY_SHOWN_MAX: usize = 120;

/// A bucket of a namespace.
pub(crate) type BucketOf<'a> = (&'a NamespaceName, &'a BucketName);

impl Control {
    /// The namespace's buckets that hold something.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the page is none.
    pub async fn list_buckets(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        request: &PageRequest,
    ) -> Result<Page<BucketInfo>, ControlError> {
        who.may(Operation::ListBuckets, Some(namespace))?;
        let limit = request.limit()?;
        self.namespace(who, namespace).await?;
        let after: Option<BucketName> = request.after()?;
        let after = after.as_ref().map(BucketName::as_str);
        let found = self.store.keys.buckets(namespace, after, limit).await?;
        let last = found.last().filter(|_| found.len() == limit);
        let next = last.map(|last| last.name.to_string());
        let infos = found.into_iter().map(|found| BucketInfo {
            name: found.name,
            entries: found.entries,
            bytes: found.bytes,
        });
        Ok(page(infos.collect(), next))
    }

    /// The keys of a bucket.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the page is none.
    pub async fn list_entries(
        &self,
        who: &Who,
        of: BucketOf<'_>,
        request: &PageRequest,
    ) -> Result<Page<EntryKey>, ControlError> {
        who.may(Operation::ListEntries, Some(of.0))?;
        let limit = request.limit()?;
        let bucket = self.bucket(who, of).await?;
        let after: Option<Cursor> = request.after()?;
        let after = after.as_ref().map(|Cursor(key)| key.as_str());
        let keys = self.store.keys.list(&bucket, after, limit).await?;
        let next = keys.last().filter(|_| keys.len() == limit).cloned();
        let keys = keys.into_iter().map(|key| EntryKey { key });
        Ok(page(keys.collect(), next))
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the key has no value.
    pub async fn get_entry(
        &self,
        who: &Who,
        of: BucketOf<'_>,
        key: &str,
    ) -> Result<Entry, ControlError> {
        who.may(Operation::GetEntry, Some(of.0))?;
        let bucket = self.bucket(who, of).await?;
        let found = self.store.keys.get(&bucket, key).await?;
        found.ok_or_else(|| no_entry(of, key))
    }

    /// Gives a key a value. Functions see it at once.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, the key or the value is out of bounds, or the
    /// bucket is full.
    pub async fn put_entry(
        &self,
        who: &Who,
        of: BucketOf<'_>,
        key: &str,
        value: Bytes,
    ) -> Result<(), ControlError> {
        self.let_through(who, Operation::PutEntry, Some(of.0))
            .await?;
        let bytes = value.len();
        let work = async {
            let bucket = self.bucket(who, of).await?;
            let set = self.store.keys.set(&bucket, key, value).await;
            set.map(drop).map_err(refused)
        };
        let deed = deed(Operation::PutEntry, of, Some(key));
        let learnt = |(): &()| json!({ "bytes": bytes });
        self.audited(who, deed, work, learnt).await
    }

    /// Forgets a key.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the key has no value.
    pub async fn delete_entry(
        &self,
        who: &Who,
        of: BucketOf<'_>,
        key: &str,
    ) -> Result<(), ControlError> {
        self.let_through(who, Operation::DeleteEntry, Some(of.0))
            .await?;
        let work = async {
            let bucket = self.bucket(who, of).await?;
            match self.store.keys.delete(&bucket, key).await? {
                true => Ok(()),
                false => Err(no_entry(of, key)),
            }
        };
        let deed = deed(Operation::DeleteEntry, of, Some(key));
        self.audited(who, deed, work, |()| json!({})).await
    }

    /// Forgets everything in a bucket.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such namespace.
    pub async fn clear_bucket(&self, who: &Who, of: BucketOf<'_>) -> Result<(), ControlError> {
        self.let_through(who, Operation::ClearBucket, Some(of.0))
            .await?;
        let work = async {
            let bucket = self.bucket(who, of).await?;
            Ok(self.store.keys.clear(&bucket).await?)
        };
        let deed = deed(Operation::ClearBucket, of, None);
        let learnt = |entries: &u64| json!({ "entries": entries });
        self.audited(who, deed, work, learnt).await.map(drop)
    }

    /// Refuses a namespace in which something is kept: a new one of its name would come to it.
    ///
    /// # Errors
    ///
    /// There is something, or the store did not answer.
    pub(crate) async fn keeps_nothing(&self, name: &NamespaceName) -> Result<(), ControlError> {
        let found = self.store.keys.buckets(name, None, 1).await?;
        let Some(found) = found.first() else {
            return Ok(());
        };
        let bucket = &found.name;
        let message =
            format!("namespace `{name}` is not empty, it has values in bucket `{bucket}`");
        let hint = format!("midge kv delete {bucket} --namespace {name}");
        Err(ControlError::new(ErrorCode::Conflict, message).with_hint(hint))
    }

    /// The bucket, if its namespace is there and the caller's own policy lets it have that.
    async fn bucket(
        &self,
        who: &Who,
        (namespace, name): BucketOf<'_>,
    ) -> Result<Bucket, ControlError> {
        self.namespace(who, namespace).await?;
        if let Some(cap) = &who.cap
            && !cap.policy.allows_bucket(namespace, name)
        {
            let message = format!("the token's policy does not allow bucket `{name}`");
            return Err(ControlError::new(ErrorCode::RefusedPolicy, message));
        }
        Ok(Bucket::of(namespace.clone(), name.clone()))
    }
}

fn deed<'a>(
    operation: Operation,
    (namespace, bucket): BucketOf<'a>,
    key: Option<&str>,
) -> Deed<'a> {
    let shown = key.map(|key| key.chars().take(KEY_SHOWN_MAX).collect::<String>());
    Deed {
        operation,
        namespace: Some(namespace),
        subject: match shown {
            Some(key) => format!("{bucket}/{key}"),
            None => bucket.to_string(),
        },
        detail: json!({}),
    }
}

fn no_entry((namespace, bucket): BucketOf<'_>, key: &str) -> ControlError {
    let key = key.escape_debug();
    let message = format!("bucket `{bucket}` of namespace `{namespace}` has no key `{key}`");
    ControlError::new(ErrorCode::NotFound, message)
        .with_hint(format!("midge kv list {bucket} --namespace {namespace}"))
}

fn refused(error: SetError) -> ControlError {
    match error {
        SetError::Store(error) => error.into(),
        error @ SetError::TooLarge { .. } => {
            ControlError::new(ErrorCode::TooLarge, error.to_string())
        }
        error @ SetError::Full => ControlError::new(ErrorCode::Quota, error.to_string()),
        error => ControlError::invalid(error.to_string()),
    }
}

/// The key that a page begins after: what can be one.
struct Cursor(String);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_key = (1..=ENTRY_KEY_BYTES_MAX).contains(&text.len());
        is_key.then(|| Self(text.to_owned())).ok_or(())
    }
}
