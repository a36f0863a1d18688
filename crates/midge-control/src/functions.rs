//! Functions and revisions as they are shown.
//!
//! **Invariant:** a page of functions costs what it shows: their records and the revisions that
//! have traffic, however many functions there are.

use futures::{StreamExt, TryStreamExt};
use midge_api::{ErrorCode, FunctionInfo, Page, RevisionInfo};
use midge_model::{FunctionName, NamespaceName, RevisionNumber};
use midge_store::records::{FunctionRecord, RevisionRecord, function_key, functions_of};

use crate::control::Control;
use crate::error::ControlError;
use crate::page::{PageRequest, Part, page};
use crate::role::Operation;
use crate::standing::Standing;
use crate::who::Who;

/// How many functions of a page are read at a time.
const READS_AT_A_TIME: usize = 16;

impl Control {
    /// A namespace's functions in order of their names.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the page is none.
    pub async fn list_functions(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        request: &PageRequest,
    ) -> Result<Page<FunctionInfo>, ControlError> {
        who.may(Operation::ListFunctions, Some(namespace))?;
        let limit = request.limit()?;
        let after = request.after::<FunctionName>()?;
        self.namespace(who, namespace).await?;
        let after = after.map(|function| function_key(namespace, &function));
        let prefix = functions_of(namespace);
        let part =
            Part::<FunctionRecord>::read(self.registry(), &prefix, after.as_ref(), limit).await?;
        let next = part.next(|last| last.function.to_string());
        let infos = futures::stream::iter(part.records)
            .map(|found| async {
                let standing = self.standing_of(found).await?;
                Ok::<_, ControlError>(self.function_info(&standing))
            })
            .buffered(READS_AT_A_TIME);
        Ok(page(infos.try_collect().await?, next))
    }

    /// One function.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such function.
    pub async fn get_function(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Result<FunctionInfo, ControlError> {
        who.may(Operation::GetFunction, Some(namespace))?;
        self.namespace(who, namespace).await?;
        let standing = self.existing((namespace, function)).await?;
        Ok(self.function_info(&standing))
    }

    /// The revisions that a function keeps, newest first: one page, as there are few. Without the
    /// values of variables, which may be most of a revision: those are answered one at a time.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such function.
    pub async fn list_revisions(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Result<Page<RevisionInfo>, ControlError> {
        who.may(Operation::ListRevisions, Some(namespace))?;
        self.namespace(who, namespace).await?;
        let target = (namespace, function);
        let record = self.existing(target).await?.record;
        let mut infos = Vec::new();
        for number in record.revisions.iter().rev() {
            // One that was pruned between the two reads is no more.
            let found = self.revision(target, *number).await?;
            infos.extend(found.map(|mut found| {
                for value in found.revision.grants.env.values_mut() {
                    *value = String::new();
                }
                found.revision.grants.args.clear();
                self.revision_info(&record, found)
            }));
        }
        Ok(Page::whole(infos))
    }

    /// One revision.
    ///
    /// # Errors
    ///
    /// The caller may not, or the function does not keep such a revision.
    pub async fn get_revision(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
        number: RevisionNumber,
    ) -> Result<RevisionInfo, ControlError> {
        who.may(Operation::GetRevision, Some(namespace))?;
        self.namespace(who, namespace).await?;
        let target = (namespace, function);
        let record = self.existing(target).await?.record;
        let found = match record.revisions.contains(&number) {
            true => self.revision(target, number).await?,
            false => None,
        };
        let found = found.ok_or_else(|| no_revision(&record, number, ErrorCode::NotFound))?;
        Ok(self.revision_info(&record, found))
    }

    /// A function as it is shown.
    pub(crate) fn function_info(&self, standing: &Standing) -> FunctionInfo {
        let record = &standing.record;
        FunctionInfo {
            namespace: record.namespace.clone(),
            function: record.function.clone(),
            url: self
                .config
                .function_url(&record.namespace, &record.function),
            traffic: record.traffic.clone(),
            revisions: record.revisions.clone(),
            keep: record.keep,
            routes: standing.routes(),
            isolation: standing
                .main()
                .map_or_else(Default::default, |main| main.revision.isolation.level()),
            created_at: record.created_at,
            updated_at: record.updated_at,
            version: standing.version.get(),
        }
    }

    /// A revision as it is shown.
    pub(crate) fn revision_info(
        &self,
        function: &FunctionRecord,
        found: RevisionRecord,
    ) -> RevisionInfo {
        let revision = self.config.as_written(&found.revision);
        let shares = function.traffic.shares();
        let share = shares
            .iter()
            .find(|share| share.revision == revision.number);
        let url =
            self.config
                .revision_url(&revision.namespace, &revision.function, revision.number);
        RevisionInfo {
            namespace: revision.namespace,
            function: revision.function,
            number: revision.number,
            digest: revision.digest,
            component_bytes: found.component_bytes,
            routes: revision.routes,
            grants: revision.grants,
            limits: revision.limits,
            isolation: revision.isolation,
            created_at: found.created_at,
            created_by: found.created_by,
            message: found.message,
            weight: share.map_or(0, |share| share.weight),
            url,
        }
    }
}

/// The answer to a revision that the function does not keep.
pub(crate) fn no_revision(
    record: &FunctionRecord,
    number: RevisionNumber,
    code: ErrorCode,
) -> ControlError {
    let kept: Vec<_> = record.revisions.iter().map(ToString::to_string).collect();
    let function = &record.function;
    let message = format!("function `{function}` has no revision {number}, or not any more");
    ControlError::new(code, message).with_hint(format!("it keeps {}", kept.join(", ")))
}
