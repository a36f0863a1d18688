//! Namespaces and how much each may have.
//!
//! **Invariant:** a namespace ends only when nothing of a tenant's is in it, and its tokens end
//! with it: whoever makes one of the same name later meets nobody of before.

use midge_api::{ErrorCode, NamespaceInfo, NamespaceRequest, Page};
use midge_model::{NamespaceName, Quota, QuotaPatch, suggest};
use midge_store::records::{
    self, ComponentRecord, FunctionRecord, NamespaceRecord, RevisionRecord, SecretRecord,
    TokenRecord, Versioned, all_namespaces, all_tokens, components_of, functions_of, namespace_key,
    revisions_of_namespace, secrets_of, token_key,
};
use midge_store::{Expect, PutError, now};
use serde_json::{Value, json};

use crate::audit::Deed;
use crate::control::{ATTEMPTS_MAX, Control};
use crate::error::ControlError;
use crate::page::{PageRequest, Part, page};
use crate::role::Operation;
use crate::who::Who;

/// How many names are looked at to find the one that was meant.
pub(crate) const SUGGEST_NAMES_MAX: usize = 1_000;

impl Control {
    /// Makes what every node has: the namespace `default`. Await it before the first request.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    pub async fn prepare(&self) -> Result<(), ControlError> {
        match self
            .make_namespace(NamespaceName::default(), Quota::DEFAULT)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.code == ErrorCode::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every namespace that the caller may know of.
    ///
    /// # Errors
    ///
    /// The caller may not, or the page is none.
    pub async fn list_namespaces(
        &self,
        who: &Who,
        request: &PageRequest,
    ) -> Result<Page<NamespaceInfo>, ControlError> {
        who.may(Operation::ListNamespaces, None)?;
        let limit = request.limit()?;
        let after: Option<NamespaceName> = request.after()?;
        if let Some(own) = &who.namespace {
            let found = self.namespace(who, own).await?;
            return Ok(Page::whole(vec![info_of(found.value)]));
        }
        let after = after.as_ref().map(namespace_key);
        let part = Part::<NamespaceRecord>::read(
            self.registry(),
            &all_namespaces(),
            after.as_ref(),
            limit,
        )
        .await?;
        let next = part.next(|last| last.name.to_string());
        let infos = part.records.into_iter().map(|found| info_of(found.value));
        Ok(page(infos.collect(), next))
    }

    /// Makes a namespace.
    ///
    /// # Errors
    ///
    /// The caller may not, there is one of this name, or data of an earlier one, or a quota is
    /// out of bounds.
    pub async fn create_namespace(
        &self,
        who: &Who,
        request: NamespaceRequest,
    ) -> Result<NamespaceInfo, ControlError> {
        self.let_through(who, Operation::CreateNamespace, None)
            .await?;
        let quota = quota_with(&request.quota, &Quota::DEFAULT)?;
        let deed = Deed {
            operation: Operation::CreateNamespace,
            namespace: Some(&request.name),
            subject: request.name.to_string(),
            detail: json!({ "quota": quota }),
        };
        let work = async {
            let key = namespace_key(&request.name);
            if self.registry().get(&key).await?.is_none() {
                self.no_leftovers(&request.name).await?;
                self.keeps_nothing(&request.name).await?;
            }
            self.make_namespace(request.name.clone(), quota).await
        };
        self.audited(who, deed, work, |_| Value::Null).await
    }

    /// One namespace.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such namespace.
    pub async fn get_namespace(
        &self,
        who: &Who,
        namespace: &NamespaceName,
    ) -> Result<NamespaceInfo, ControlError> {
        who.may(Operation::GetNamespace, Some(namespace))?;
        let found = self.namespace(who, namespace).await?;
        Ok(info_of(found.value))
    }

    /// Ends a namespace that has nothing in it, and its tokens with it.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or there is something in it.
    pub async fn delete_namespace(
        &self,
        who: &Who,
        namespace: &NamespaceName,
    ) -> Result<(), ControlError> {
        self.let_through(who, Operation::DeleteNamespace, Some(namespace))
            .await?;
        let deed = Deed {
            operation: Operation::DeleteNamespace,
            namespace: Some(namespace),
            subject: namespace.to_string(),
            detail: Value::Null,
        };
        let work = self.end_namespace(who, namespace);
        self.audited(who, deed, work, |()| Value::Null).await
    }

    /// How much a namespace may have.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such namespace.
    pub async fn get_quota(
        &self,
        who: &Who,
        namespace: &NamespaceName,
    ) -> Result<Quota, ControlError> {
        who.may(Operation::GetQuota, Some(namespace))?;
        Ok(self.namespace(who, namespace).await?.value.quota)
    }

    /// Lets a namespace have more or less. What it has stays, even if that is more.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or a quota is out of bounds.
    pub async fn set_quota(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        patch: QuotaPatch,
    ) -> Result<Quota, ControlError> {
        self.let_through(who, Operation::SetQuota, Some(namespace))
            .await?;
        let deed = Deed {
            operation: Operation::SetQuota,
            namespace: Some(namespace),
            subject: namespace.to_string(),
            detail: json!({ "quota": patch }),
        };
        let work = async {
            let _turn = self.turn().await?;
            for _ in 0..ATTEMPTS_MAX {
                let Versioned { mut value, version } = self.namespace(who, namespace).await?;
                value.quota = quota_with(&patch, &value.quota)?;
                let key = namespace_key(namespace);
                let expect = Expect::Version(version);
                match records::write(self.registry(), &key, &value, expect).await {
                    Ok(_) => return Ok(value.quota),
                    Err(PutError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(ControlError::contended(format!("namespace `{namespace}`")))
        };
        self.audited(who, deed, work, |_| Value::Null).await
    }

    /// A namespace that the caller was let through to.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub(crate) async fn namespace(
        &self,
        who: &Who,
        name: &NamespaceName,
    ) -> Result<Versioned<NamespaceRecord>, ControlError> {
        let key = namespace_key(name);
        if let Some(found) = records::read(self.registry(), &key).await? {
            return Ok(found);
        }
        if who.namespace.is_some() {
            return Err(who.no_namespace(name, None));
        }
        let prefix = all_namespaces();
        let known =
            Part::<NamespaceRecord>::read(self.registry(), &prefix, None, SUGGEST_NAMES_MAX)
                .await?;
        let names = known.records.iter().map(|found| found.value.name.as_str());
        let nearest = suggest::nearest(name.as_str(), names).map(str::to_owned);
        Err(who.no_namespace(name, nearest))
    }

    /// Refuses to go on in a namespace that is not the one it was: ended, or ended and made anew
    /// by somebody else while this operation was at work.
    ///
    /// # Errors
    ///
    /// It is not the same any more.
    pub(crate) async fn still_there(
        &self,
        who: &Who,
        before: &NamespaceRecord,
    ) -> Result<NamespaceRecord, ControlError> {
        let found = self.namespace(who, &before.name).await?.value;
        if found.created_at != before.created_at {
            return Err(who.no_namespace(&before.name, None));
        }
        Ok(found)
    }

    async fn make_namespace(
        &self,
        name: NamespaceName,
        quota: Quota,
    ) -> Result<NamespaceInfo, ControlError> {
        let record = NamespaceRecord {
            name,
            created_at: now(),
            quota,
        };
        let key = namespace_key(&record.name);
        match records::write(self.registry(), &key, &record, Expect::Absent).await {
            Ok(_) => Ok(info_of(record)),
            Err(PutError::Conflict { .. }) => Err(ControlError::new(
                ErrorCode::Conflict,
                format!("there is a namespace `{}` already", record.name),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Tokens first: a namespace without its tokens is whole, tokens without their namespace
    /// would wait for the next of that name.
    async fn end_namespace(&self, who: &Who, name: &NamespaceName) -> Result<(), ControlError> {
        if *name == NamespaceName::default() {
            let message = format!("namespace `{name}` stays: what names no namespace is in it");
            return Err(ControlError::new(ErrorCode::Conflict, message));
        }
        let _turn = self.turn().await?;
        let found = self.namespace(who, name).await?;
        self.is_empty(name).await?;
        for (key, token) in records::list_all::<TokenRecord>(self.registry(), &all_tokens()).await?
        {
            if token.value.namespace.as_ref() == Some(name) {
                debug_assert_eq!(key, token_key(&token.value.id));
                records::remove(self.registry(), &key, Expect::Any).await?;
            }
        }
        // What deploys left that were cut short, and then what it names.
        let revisions = revisions_of_namespace(name);
        for (key, _) in records::list_all::<RevisionRecord>(self.registry(), &revisions).await? {
            records::remove(self.registry(), &key, Expect::Any).await?;
        }
        let components = components_of(name);
        for (key, _) in records::list_all::<ComponentRecord>(self.registry(), &components).await? {
            records::remove(self.registry(), &key, Expect::Any).await?;
        }
        self.counts.forget(name);
        let expect = Expect::Version(found.version);
        records::remove(self.registry(), &namespace_key(name), expect).await?;
        self.untidy.notify_one();
        Ok(())
    }

    async fn is_empty(&self, name: &NamespaceName) -> Result<(), ControlError> {
        let prefix = functions_of(name);
        let function =
            records::list_of::<FunctionRecord>(self.registry(), &prefix, None, 1).await?;
        let prefix = secrets_of(name);
        let secret = records::list_of::<SecretRecord>(self.registry(), &prefix, None, 1).await?;
        let (what, hint) = match (function.first(), secret.first()) {
            (Some((_, found)), _) => {
                let function = &found.value.function;
                let hint = format!("midge remove {function} --namespace {name}");
                (format!("function `{function}`"), hint)
            }
            (None, Some((_, found))) => {
                let secret = &found.value.name;
                let hint = format!("midge secret remove {secret} --namespace {name}");
                (format!("secret `{secret}`"), hint)
            }
            (None, None) => return self.keeps_nothing(name).await,
        };
        let message = format!("namespace `{name}` is not empty, it has {what}");
        Err(ControlError::new(ErrorCode::Conflict, message).with_hint(hint))
    }
}

fn quota_with(patch: &QuotaPatch, base: &Quota) -> Result<Quota, ControlError> {
    patch
        .apply(base)
        .map_err(|error| ControlError::invalid(error.to_string()))
}

fn info_of(record: NamespaceRecord) -> NamespaceInfo {
    let NamespaceRecord {
        name,
        created_at,
        quota,
    } = record;
    NamespaceInfo {
        name,
        created_at,
        quota,
    }
}
