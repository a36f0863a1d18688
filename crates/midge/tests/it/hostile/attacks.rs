//! Every attack and how it must end, one row each.
//!
//! A fixture that is one attack is named by its file; those that hold many are told by the query.

use super::ends::Ends::{self, *};

/// Something that a guest tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attack {
    /// Its fixture.
    pub(super) fixture: &'static str,
    /// Which of the fixture's; empty where it has only one.
    pub(super) name: &'static str,
    /// How it must end.
    pub(super) ends: Ends,
    /// What it is given to attack.
    pub(super) given: Given,
}

/// What a function of an attack is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// Nothing at all.
    Nothing,
    /// Two folders, one of them only to read.
    Folders,
    /// The same with a bound on what the other may hold.
    SmallFolders,
    /// The whole world outside, by patterns that leave nothing out.
    World,
}

impl Attack {
    /// The function that it is in the manifest: `cpu-spin`, `http02-fields-many`.
    pub(super) fn function(&self) -> String {
        let fixture = self.fixture.trim_start_matches("hostile-");
        match self.name {
            "" => fixture.to_owned(),
            name => match self.given {
                Given::Nothing => format!("{fixture}-{name}"),
                Given::Folders => format!("{fixture}-{name}-in-folders"),
                Given::SmallFolders => format!("{fixture}-{name}-in-small-folders"),
                Given::World => format!("{fixture}-{name}-in-the-world"),
            },
        }
    }
}

/// All that a node is told to withstand.
pub(super) fn all() -> Vec<Attack> {
    let tables: [(&'static str, Given, Rows); 8] = [
        ("hostile-http02", Given::Nothing, HTTP02),
        ("hostile-http03", Given::Nothing, HTTP03),
        ("hostile-command01", Given::Nothing, COMMAND01),
        ("hostile-http02", Given::Folders, HTTP02_FOLDERS),
        ("hostile-command01", Given::Folders, COMMAND01_FOLDERS),
        ("hostile-http02", Given::SmallFolders, HTTP02_SMALL_FOLDERS),
        (
            "hostile-command01",
            Given::SmallFolders,
            COMMAND01_SMALL_FOLDERS,
        ),
        ("hostile-http02", Given::World, HTTP02_WORLD),
    ];
    let alone = ALONE.iter().map(|&(fixture, ends)| Attack {
        fixture,
        name: "",
        ends,
        given: Given::Nothing,
    });
    let chosen = tables.into_iter().flat_map(|(fixture, given, rows)| {
        rows.iter().map(move |&(name, ends)| Attack {
            fixture,
            name,
            ends,
            given,
        })
    });
    alone.chain(chosen).collect()
}

/// Names of attacks, or of fixtures that are one attack, and how they end.
type Rows = &'static [(&'static str, Ends)];

const ALONE: Rows = &[
    // Time, in guest code and in the host's.
    ("hostile-cpu-spin", Spent),
    ("hostile-start-spin", Spent),
    ("hostile-tail-spin", Spent),
    ("hostile-fill-spin", Spent),
    ("hostile-throw-spin", Spent),
    ("hostile-gc-churn", Spent),
    ("hostile-memory-beg", Spent),
    ("hostile-random-flood", Spent),
    ("hostile-clock-spin", Spent),
    ("hostile-poll-flood", Spent),
    ("hostile-fd-renumber", Spent),
    ("hostile-log-flood", Spent),
    ("hostile-log-pieces", Spent),
    ("hostile-never", Spent),
    // Memory and what counts as memory.
    ("hostile-memory-grow", OutOfMemory),
    ("hostile-memory-claim", OutOfMemory),
    ("hostile-memories-grow", OutOfMemory),
    ("hostile-memory64-grow", OutOfMemory),
    ("hostile-table-grow", OutOfMemory),
    ("hostile-gc-list", OutOfMemory),
    ("hostile-gc-claim", OutOfMemory),
    // What ends at once.
    ("hostile-recursion", Trapped),
    ("hostile-random-claim", Trapped),
    ("hostile-handle-bomb", Trapped),
    ("hostile-handle-forgery", Trapped),
    ("hostile-call-args", Trapped),
    ("hostile-respond-twice", WholeOrTrapped),
    // Answers.
    ("hostile-endless-body", Cut),
    ("hostile-drip-body", Cut),
    ("hostile-endless-head", Failed),
    ("hostile-exit-in-head", Whole),
    ("hostile-exit-in-body", FailedWithin),
    ("hostile-trap-in-body", TrappedWithin),
];

const HTTP02: Rows = &[
    ("fields-many", Trapped),
    ("fields-values", Trapped),
    ("fields-list", Trapped),
    ("fields-huge", Trapped),
    ("fields-clone", Trapped),
    ("fields-sent", Trapped),
    ("fields-injection", Refused),
    ("fields-hop-sent", Whole),
    ("fields-status", Refused),
    ("fields-trailers", Whole),
    ("body-endless", Cut),
    ("body-drip", Cut),
    ("body-drip-slow", Cut),
    ("body-longer", FailedWithin),
    ("body-shorter", FailedWithin),
    ("body-length-text", Whole),
    ("body-length-twice", Whole),
    ("body-length-huge", Whole),
    ("body-trap", TrappedWithin),
    ("body-unfinished", FailedWithin),
    ("body-unpermitted", TrappedWithin),
    ("body-zeroes", TrappedWithin),
    ("body-splice", Cut),
    ("body-read", Refused),
    ("body-hoard", Trapped),
    ("body-after", Whole),
    ("no-response", NoResponse),
    ("no-response-spin", Spent),
    ("timers-hoard", Trapped),
    ("timers-flood", Spent),
    ("timers-extreme", Refused),
    ("poll-empty", Trapped),
    ("poll-long", Trapped),
    ("poll-dead", Trapped),
    ("random-claim", Trapped),
    ("random-flood", Spent),
    ("clock-spin", Spent),
    ("environment-flood", Spent),
    ("log-flood", Spent),
    ("log-huge", Whole),
    ("stdin-flood", Spent),
    ("exit-before", NoResponse),
    ("exit-failed", Exited),
    ("exit-within", FailedWithin),
    // Without a grant for any of it.
    ("metadata-http", Refused),
    ("metadata-tcp", Refused),
    ("metadata-udp", Refused),
    ("metadata-names", Refused),
    ("request-injection", Refused),
    ("request-flood", Trapped),
    ("request-options", Whole),
    ("tcp-flood", Whole),
    ("udp-flood", Whole),
    ("udp-spray", Whole),
    ("listen-flood", Refused),
    ("names-flood", Whole),
    ("names-huge", Refused),
];

const HTTP03: Rows = &[
    ("tasks-flood", OutOfMemory),
    ("subtasks-flood", Trapped),
    ("streams-flood", Trapped),
    ("futures-flood", Trapped),
    ("yield-spin", Spent),
    ("wait-spin", Spent),
    ("never", Spent),
    ("error-huge", Failed),
    ("random-claim", Refused),
    ("fields-many", Refused),
    ("body-endless", Cut),
    ("body-drip", Cut),
    ("body-never", Cut),
    ("body-longer", FailedWithin),
    ("body-shorter", FailedWithin),
    ("body-after", Whole),
    ("trailers-never", Cut),
    ("echo-itself", Whole),
];

const COMMAND01: Rows = &[
    ("head-cr", Failed),
    ("head-nul", Failed),
    ("head-escape", Failed),
    ("head-status-text", Failed),
    ("head-status-99", Failed),
    ("head-status-1000", Failed),
    ("head-status-100", Failed),
    ("head-status-101", Failed),
    ("head-status-twice", Failed),
    ("head-length-twice", Failed),
    ("head-line-huge", Failed),
    ("head-fields-many", Failed),
    // A block with a line that is none is a text, and goes out as one.
    ("head-folded", Whole),
    ("head-name-space", Whole),
    ("head-name-colon", Whole),
    ("head-name-empty", Whole),
    ("head-no-colon", Whole),
    ("head-response", Whole),
    ("head-hop", Whole),
    ("head-length-longer", FailedWithin),
    ("head-length-shorter", FailedWithin),
    ("args-write-wild", Trapped),
    ("args-write-many", Whole),
    ("args-write-long", Whole),
    ("args-read-wild", Trapped),
    ("args-random-wild", Trapped),
    ("args-poll-none", Whole),
    ("args-poll-many", Whole),
    ("args-environ-wild", Trapped),
    ("args-path-long", Whole),
    ("fd-misuse", Refused),
    ("fd-closed", NoResponse),
];

const HTTP02_FOLDERS: Rows = &[
    ("paths", Refused),
    ("links-out", Refused),
    ("between-folders", Refused),
    ("read-only", Refused),
    ("symlink-storm", RefusedOrSpent),
    ("folder-full", RefusedOrSpent),
    ("folder-deep", RefusedOrSpent),
    ("folder-hoard", TrappedOrSpent),
    ("descriptors", TrappedOrSpent),
    ("times", Whole),
];

const COMMAND01_FOLDERS: Rows = &[
    ("paths", Refused),
    ("links-out", Refused),
    ("between-folders", Refused),
    ("renumbered", Refused),
    ("read-only", Refused),
    ("descriptors", TrappedOrSpent),
];

const HTTP02_SMALL_FOLDERS: Rows = &[
    ("quota-write", Refused),
    ("quota-files", Refused),
    ("quota-holes", Refused),
];

const COMMAND01_SMALL_FOLDERS: Rows = &[("quota-holes", Refused)];

/// No pattern, however wide, reaches what is not public.
const HTTP02_WORLD: Rows = &[
    ("metadata-http", Refused),
    ("metadata-tcp", Refused),
    ("metadata-udp", Refused),
    ("request-options", Whole),
    ("request-flood", TrappedOrSpent),
    ("listen-flood", Refused),
    ("names-huge", Refused),
];
