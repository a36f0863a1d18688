//! A deploy: what it would change, and the change itself.
//!
//! Decides whether a revision is sound: read, allowed by node and token, its secrets there, its
//! component this namespace's and compiled within its budget, and nothing wider than what is live
//! unless somebody said so. Writing it is `publish.rs`.
//!
//! Everything that takes long comes before the turn to write, and what could have changed
//! meanwhile is decided again within it.
//!
//! **Invariant:** a deploy that was answered is live, and one that was not changed nothing or is
//! live: sending it again is always safe.

mod plan;
pub(crate) mod wanted;

use midge_api::{DeployChange, DeployRequest, Deployed, ErrorCode};
use midge_model::{Difference, Grants, KEEP_DEFAULT, Revision, Traffic, suggest};
use midge_store::records::{
    FunctionRecord, NamespaceRecord, RevisionRecord, SecretRecord, secret_key, secrets_of,
};
use midge_store::{Version, now};
use serde_json::json;
use tokio::time::Instant;

use self::plan::unanswered_imports;
use self::wanted::{Reading, Wanted};
use crate::audit::Deed;
use crate::components::missing;
use crate::config::ControlConfig;
use crate::control::{ATTEMPTS_MAX, Control};
use crate::error::ControlError;
use crate::namespaces::SUGGEST_NAMES_MAX;
use crate::node::CompileBlame;
use crate::page::Part;
use crate::publish::{Switch, Switched, keep_newest};
use crate::role::Operation;
use crate::standing::{Standing, Target};
use crate::who::Who;

/// What became of a deploy in the registry.
struct Published {
    change: DeployChange,
    function: FunctionRecord,
    version: Version,
    revision: RevisionRecord,
    unneeded: Vec<(midge_store::Key, Version)>,
}

impl Control {
    /// Makes a revision and gives it all traffic; answers when every worker of this node serves
    /// it. What is live exactly so already is left as it is.
    ///
    /// # Errors
    ///
    /// The caller may not, the revision is refused, the function is another version than
    /// `if_match`, or something failed. In the last case it may be live.
    pub async fn deploy(
        &self,
        who: &Who,
        target: Target<'_>,
        request: DeployRequest,
        if_match: Option<Version>,
    ) -> Result<Deployed, ControlError> {
        let (namespace, function) = target;
        self.let_through(who, Operation::Deploy, Some(namespace))
            .await?;
        self.room_on_disk(0).await?;
        let deed = Deed {
            operation: Operation::Deploy,
            namespace: Some(namespace),
            subject: function.to_string(),
            detail: json!({ "digest": request.digest, "widen": request.widen }),
        };
        let work = Box::pin(self.deploy_now(who, target, request, if_match));
        let learnt =
            |done: &Deployed| json!({ "change": done.change, "revision": done.revision.number });
        self.audited(who, deed, work, learnt).await
    }

    async fn deploy_now(
        &self,
        who: &Who,
        target: Target<'_>,
        request: DeployRequest,
        if_match: Option<Version>,
    ) -> Result<Deployed, ControlError> {
        let (namespace, function) = target;
        let tenant = self.namespace(who, namespace).await?.value;
        let wanted = self.reading(who, target).read(request)?;
        let revision = &wanted.revision;
        self.allow(who, revision)?;
        self.secrets_are_there(target, &revision.grants).await?;
        if self.component(namespace, &revision.digest).await?.is_none() {
            return Err(missing(namespace, &revision.digest));
        }
        let needs = self.needs(namespace, &revision.digest).await?;
        needs.check_isolation(&revision.isolation)?;
        let warnings = unanswered_imports(&needs.grants, &revision.grants);
        let standing = self.standing(target).await?;
        wanted.check(&self.config, standing.as_ref(), if_match)?;
        let compile_ms = self.compiled(target, &wanted).await?;

        let published = self.publish(who, &tenant, &wanted, if_match).await?;
        let began = Instant::now();
        let (served, ()) = futures::join!(
            self.served(target, published.version),
            self.clear(published.unneeded)
        );
        served?;
        let serve_ms = whole_ms(began.elapsed());
        let change = published.change;
        let number = published.revision.revision.number;
        tracing::info!(%namespace, %function, revision = %number, ?change, "function deployed");
        Ok(Deployed {
            change,
            urls: self.config.urls(&published.revision.revision),
            revision: self.revision_info(&published.function, published.revision),
            warnings: warnings.into_iter().collect(),
            compile_ms,
            serve_ms,
        })
    }

    /// Within one turn: decides again, by what stands now, and writes.
    async fn publish(
        &self,
        who: &Who,
        tenant: &NamespaceRecord,
        wanted: &Wanted,
        if_match: Option<Version>,
    ) -> Result<Published, ControlError> {
        let target = wanted.target();
        let turn = self.turn().await?;
        self.still_good(who).await?;
        let tenant = self.still_there(who, tenant).await?;
        for _ in 0..ATTEMPTS_MAX {
            let standing = self.standing(target).await?;
            wanted.check(&self.config, standing.as_ref(), if_match)?;
            if let Some(standing) = &standing
                && let Some(same) = wanted.same_as(standing)
            {
                return Ok(Published {
                    change: DeployChange::Unchanged,
                    function: standing.record.clone(),
                    version: standing.version,
                    revision: same.clone(),
                    unneeded: Vec::new(),
                });
            }
            if standing.is_none() {
                let functions_max = tenant.quota.functions;
                self.room_for_function(target.0, functions_max).await?;
            }
            self.secrets_are_there(target, &wanted.revision.grants)
                .await?;
            let digest = &wanted.revision.digest;
            let component = self.component_to_deploy(target.0, digest, &turn).await?;
            if self.store.artifacts.size(digest).await?.is_none() {
                return Err(missing(target.0, digest));
            }
            let number = self.next_number(target, standing.as_ref()).await?;
            let revision = RevisionRecord {
                revision: Revision {
                    number,
                    ..wanted.revision.clone()
                },
                component_bytes: component.size_bytes,
                created_at: now(),
                created_by: who.name.clone(),
                message: wanted.message.clone(),
            };
            let switch = Switch {
                standing: standing.as_ref(),
                record: wanted.record(standing.as_ref(), &revision)?,
                live: vec![&revision.revision],
                new: Some(&revision),
            };
            if let Some(switched) = self.switch(who, switch, &turn).await? {
                return Ok(self.published(standing.is_none(), revision, switched));
            }
        }
        Err(ControlError::contended(format!("function `{}`", target.1)))
    }

    fn published(&self, is_new: bool, revision: RevisionRecord, switched: Switched) -> Published {
        let Switched {
            record,
            version,
            unneeded,
        } = switched;
        if is_new {
            self.counts.functions_changed(&record.namespace, 1);
        }
        Published {
            change: if is_new {
                DeployChange::New
            } else {
                DeployChange::Changed
            },
            function: record,
            version,
            revision,
            unneeded,
        }
    }

    fn reading<'a>(&'a self, who: &Who, target: Target<'a>) -> Reading<'a> {
        Reading {
            namespace: target.0,
            function: target.1,
            base: self.base_limits(who, target.0),
            config: &self.config,
        }
    }

    async fn compiled(&self, target: Target<'_>, wanted: &Wanted) -> Result<u64, ControlError> {
        let digest = &wanted.revision.digest;
        let compiled = self.node.compile(target.0, target.1, digest).await;
        match compiled {
            Ok(report) if report.cached => Ok(0),
            Ok(report) => Ok(whole_ms(report.took)),
            Err(fault) => {
                let code = match fault.blame {
                    CompileBlame::Guest => ErrorCode::RefusedComponent,
                    CompileBlame::Host => ErrorCode::Busy,
                };
                let try_again = || (code == ErrorCode::Busy).then(|| "try again".to_owned());
                let hint = fault.hint.or_else(try_again);
                Err(ControlError::new(code, fault.message).with_hint_if(hint))
            }
        }
    }

    /// Refuses to deploy what would run without a secret that it counts on.
    async fn secrets_are_there(
        &self,
        target: Target<'_>,
        grants: &Grants,
    ) -> Result<(), ControlError> {
        let namespace = target.0;
        for grant in &grants.secrets {
            let name = &grant.name;
            let key = secret_key(namespace, name).map_err(ControlError::internal)?;
            if self.registry().get(&key).await?.is_some() {
                continue;
            }
            let prefix = secrets_of(namespace);
            let known =
                Part::<SecretRecord>::read(self.registry(), &prefix, None, SUGGEST_NAMES_MAX)
                    .await?;
            let names = known.records.iter().map(|found| found.value.name.as_str());
            let hint = match suggest::nearest(name, names) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("midge secret set {name} --namespace {namespace}"),
            };
            let message = format!("secret `{name}` has no value in namespace `{namespace}`");
            return Err(ControlError::new(ErrorCode::SecretMissing, message).with_hint(hint));
        }
        Ok(())
    }
}

impl Wanted {
    fn target(&self) -> Target<'_> {
        (&self.revision.namespace, &self.revision.function)
    }

    /// Refuses a change of another version than the caller saw, and one that widens what the
    /// function may do without anybody having said that it may.
    fn check(
        &self,
        config: &ControlConfig,
        standing: Option<&Standing>,
        if_match: Option<Version>,
    ) -> Result<(), ControlError> {
        Standing::check_match(standing, if_match)?;
        let difference = difference(config, standing, &self.revision);
        if self.widen || !difference.widens() {
            return Ok(());
        }
        let limits = difference.limits.iter().filter(|limit| limit.widens);
        let limits = limits.map(|limit| format!("`{} = {}`", limit.name, limit.to));
        let grants = difference.grants.iter().filter(|grant| grant.widens);
        let grants = grants.map(|grant| format!("`{} {}`", grant.kind, grant.grant));
        let wider: Vec<_> = grants.chain(limits).collect();
        let message = format!(
            "function `{}` would get more than it has: {}",
            self.revision.function,
            wider.join(", ")
        );
        Err(ControlError::new(ErrorCode::Widens, message)
            .with_hint("if that is meant, deploy with `--grant`"))
    }

    /// The live revision that is exactly what is wanted and has all traffic.
    fn same_as<'a>(&self, standing: &'a Standing) -> Option<&'a RevisionRecord> {
        let keep = self.keep.unwrap_or(standing.record.keep);
        let all_to_one = standing.record.traffic.shares().len() == 1;
        if keep != standing.record.keep || !all_to_one {
            return None;
        }
        let live = standing.main()?;
        Difference::between(Some(&live.revision), &self.revision)
            .is_empty()
            .then_some(live)
    }

    fn change(&self, standing: Option<&Standing>) -> DeployChange {
        match standing {
            None => DeployChange::New,
            Some(standing) if self.same_as(standing).is_some() => DeployChange::Unchanged,
            Some(_) => DeployChange::Changed,
        }
    }

    /// The function's record once the revision has all traffic.
    fn record(
        &self,
        standing: Option<&Standing>,
        new: &RevisionRecord,
    ) -> Result<FunctionRecord, ControlError> {
        let number = new.revision.number;
        let next = number
            .next()
            .ok_or_else(|| ControlError::invalid("the function has used up its numbers"))?;
        let before = standing.map(|standing| &standing.record);
        let traffic = Traffic::all_to(number);
        let keep = self.keep.or(before.map(|before| before.keep));
        let keep = keep.unwrap_or(KEEP_DEFAULT);
        let mut revisions = before.map_or_else(Vec::new, |before| before.revisions.clone());
        revisions.push(number);
        keep_newest(&mut revisions, keep, &traffic);
        Ok(FunctionRecord {
            namespace: self.revision.namespace.clone(),
            function: self.revision.function.clone(),
            traffic,
            revisions,
            next,
            keep,
            previous: before.map(|before| before.traffic.clone()),
            created_at: before.map_or(new.created_at, |before| before.created_at),
            updated_at: new.created_at,
        })
    }
}

/// What changes, in the words of whoever wrote the manifest.
fn difference(config: &ControlConfig, standing: Option<&Standing>, new: &Revision) -> Difference {
    let live = standing.and_then(Standing::main);
    let live = live.map(|live| config.as_written(&live.revision));
    Difference::between(live.as_ref(), &config.as_written(new))
}

fn whole_ms(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
