//! Values by key through the control door, each as the bytes that it is.
//!
//! # Errors
//!
//! All give [`ClientError`], as all operations do.

use bytes::Bytes;
use http::{Method, header};
use midge_model::{BucketName, NamespaceName};

use super::operations::{of, segment};
use super::{Client, ClientError, PageRequest, WriteOptions};
use crate::{BucketInfo, EntryKey, Page};

type Answer<T> = Result<T, ClientError>;

#[expect(
    clippy::missing_errors_doc,
    reason = "the module's doc says it once for all"
)]
impl Client {
    /// Part of the namespace's buckets that hold something, by name.
    pub async fn list_buckets(
        &self,
        namespace: &NamespaceName,
        page: &PageRequest,
    ) -> Answer<Page<BucketInfo>> {
        self.list(&of(namespace, "/kv"), page).await
    }

    /// All of the namespace's buckets that hold something, by name.
    pub async fn all_buckets(&self, namespace: &NamespaceName) -> Answer<Vec<BucketInfo>> {
        self.all(&of(namespace, "/kv")).await
    }

    /// Part of a bucket's keys, in order.
    pub async fn list_entries(
        &self,
        namespace: &NamespaceName,
        bucket: &BucketName,
        page: &PageRequest,
    ) -> Answer<Page<EntryKey>> {
        self.list(&of(namespace, &format!("/kv/{bucket}")), page)
            .await
    }

    /// The value of a key.
    pub async fn get_entry(
        &self,
        namespace: &NamespaceName,
        bucket: &BucketName,
        key: &str,
    ) -> Answer<Bytes> {
        let request = self.request(Method::GET, &entry(namespace, bucket, key));
        self.ask_bytes(request).await
    }

    /// Gives a key a value.
    pub async fn put_entry(
        &self,
        namespace: &NamespaceName,
        (bucket, key): (&BucketName, &str),
        value: Bytes,
        options: &WriteOptions,
    ) -> Answer<()> {
        let request = self
            .request(Method::PUT, &entry(namespace, bucket, key))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(value);
        self.ask_bytes(options.onto(request)).await.map(drop)
    }

    /// Forgets a key.
    pub async fn delete_entry(
        &self,
        namespace: &NamespaceName,
        bucket: &BucketName,
        key: &str,
        options: &WriteOptions,
    ) -> Answer<()> {
        self.remove(&entry(namespace, bucket, key), options).await
    }

    /// Forgets everything in a bucket.
    pub async fn clear_bucket(
        &self,
        namespace: &NamespaceName,
        bucket: &BucketName,
        options: &WriteOptions,
    ) -> Answer<()> {
        self.remove(&of(namespace, &format!("/kv/{bucket}")), options)
            .await
    }
}

fn entry(namespace: &NamespaceName, bucket: &BucketName, key: &str) -> String {
    of(namespace, &format!("/kv/{bucket}/{}", segment(key)))
}
