//! What a deploy would change, and what is odd about it, before anybody says yes.
//!
//! **Invariant:** a plan writes nothing, and whoever may not deploy learns nothing from one.

use midge_api::{DeployPlan, DeployRequest};
use midge_model::{FunctionName, Grants, NamespaceName};

use super::difference;
use crate::control::Control;
use crate::error::ControlError;
use crate::role::Operation;
use crate::standing::Standing;
use crate::who::Who;

impl Control {
    /// What a deploy would do. Writes nothing, and needs no component to be there.
    ///
    /// # Errors
    ///
    /// The caller may not deploy, or asks for what no manifest could say.
    pub async fn plan(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
        request: DeployRequest,
    ) -> Result<DeployPlan, ControlError> {
        let target = (namespace, function);
        who.may(Operation::Plan, Some(namespace))?;
        self.namespace(who, namespace).await?;
        let wanted = self.reading(who, target).read(request)?;
        let revision = &wanted.revision;
        let standing = self.standing(target).await?;
        let difference = difference(&self.config, standing.as_ref(), revision);
        let refused = self.refused(who, revision);
        let component_known = self.component(namespace, &revision.digest).await?.is_some();
        let mut warnings = Vec::new();
        if component_known {
            let needs = self.needs(namespace, &revision.digest).await?;
            warnings.extend(unanswered_imports(&needs.grants, &revision.grants));
            match needs.check_isolation(&revision.isolation) {
                Ok(()) => {}
                Err(error) => warnings.push(error.to_string()),
            }
        }
        // What is in the way of the deploy itself is no reason not to show the plan.
        let obstacles = [
            self.secrets_are_there(target, &revision.grants).await,
            self.check_routes(who, target, &revision.routes).await,
        ];
        for obstacle in obstacles {
            match obstacle {
                Ok(()) => {}
                Err(error) if error.is_refusal() => warnings.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let urls = self.config.urls(revision);
        Ok(DeployPlan {
            namespace: namespace.clone(),
            function: function.clone(),
            change: wanted.change(standing.as_ref()),
            live: standing
                .as_ref()
                .and_then(Standing::main)
                .map(|main| main.revision.number),
            widens: difference.widens(),
            difference,
            refused: refused.into_iter().map(Into::into).collect(),
            warnings,
            component_known,
            url: urls.into_iter().next().unwrap_or_default(),
        })
    }
}

/// Grants that say nothing about a component by being asked for: every language's own library
/// imports files.
const ASKED_BY_ALL: &str = "dirs or tmp";

/// What a component asks for that will be denied. A warning and no refusal: interpreters import
/// everything they could ever need.
pub(super) fn unanswered_imports(needs: &[&str], grants: &Grants) -> Option<String> {
    let asked = needs.iter().copied().filter(|kinds| *kinds != ASKED_BY_ALL);
    let denied: Vec<&str> = asked.filter(|kinds| !any_granted(kinds, grants)).collect();
    let remedy = match denied.contains(&"kv") {
        // The one of them that SDKs ask for by a name of their own.
        true => {
            "; for kv add `kv = [\"default\"]`, or the buckets that it opens, to its allow table"
        }
        false => "",
    };
    (!denied.is_empty()).then(|| {
        format!(
            "the component can ask for more than it is granted, and will be told no: {}{remedy}",
            denied.join("; ")
        )
    })
}

/// Whether there is a grant of any of these kinds, which stand there as `tcp, udp or listen`.
fn any_granted(kinds: &str, grants: &Grants) -> bool {
    let words = kinds.split(|found: char| !found.is_ascii_alphabetic());
    words.into_iter().any(|kind| match kind {
        "http" => !grants.http.is_empty(),
        "tcp" => !grants.tcp.is_empty(),
        "udp" => !grants.udp.is_empty(),
        // A name that may be connected to may be looked up.
        "dns" => !(grants.dns.is_empty() && grants.tcp.is_empty() && grants.udp.is_empty()),
        "listen" => !grants.listen.is_empty(),
        "dirs" => !grants.dirs.is_empty(),
        "tmp" => grants.tmp_bytes.is_some(),
        "secrets" => !grants.secrets.is_empty(),
        "kv" => !grants.kv.is_empty(),
        _ => false,
    })
}
