//! Everything a running guest may touch, in one place.
//!
//! Decides what a store holds: the WASI context built from grants, the handles the
//! guest has open, its meter. A security reviewer reads this file and `host/`.
//!
//! **Invariant:** a guest state belongs to one instance of one revision and is dropped with it; what
//! is counted or named by invocation in it is renewed by [`Guest::renew`], all of it.

use std::sync::Arc;

use midge_model::Outcome;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::guest_log::{GuestLog, LogLabel};
use crate::host::dirs::OpenedDirs;
use crate::host::files::Files;
use crate::host::files01;
use crate::host::files02::FilesView;
use crate::host::http_out::Outbound;
use crate::host::kv::OpenBuckets;
use crate::host::sockets::{self, OpenSockets};
use crate::host::tmp::TmpDir;
use crate::host::{clock, config, random};
use crate::limits::{HANDLE_BYTES_MAX, HANDLES_LEFT_MAX, HANDLES_MAX, Meter, Metered, Vitals};
use crate::powers::Lent;
use crate::rehearsal::Rehearsed;

/// Random bytes in one call.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The state of a component's store.
pub(crate) struct Guest {
    /// Environment, folders, clocks, random numbers, stdio, sockets.
    wasi: WasiCtx,
    /// Bounds of header fields.
    http: WasiHttpCtx,
    /// Outbound HTTP.
    outbound: Outbound,
    /// The handles the guest holds.
    pub(crate) table: ResourceTable,
    /// The sockets that its handles do not show.
    pub(crate) open_sockets: OpenSockets,
    /// The buckets it has open.
    pub(crate) buckets: OpenBuckets,
    /// What it may use.
    meter: Meter,
    /// What it was granted.
    pub(crate) lent: Arc<Lent>,
    /// What it writes to.
    logs: Logs,
    /// Its folders. Last, so that nothing in them is open any more when the private one goes.
    files: Files,
}

impl Guest {
    pub(crate) fn new(granted: Granted, lent: &Arc<Lent>, meter: Meter) -> Self {
        let Granted {
            mut wasi,
            files,
            logs,
        } = granted;
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HANDLE_BYTES_MAX);
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            wasi: wasi.build(),
            http,
            outbound: Outbound::new(Arc::clone(lent)),
            table,
            open_sockets: OpenSockets::default(),
            buckets: OpenBuckets::default(),
            meter,
            lent: Arc::clone(lent),
            logs,
            files,
        }
    }

    /// Makes it the next invocation's: what it may use is whole again, and what it says is said in
    /// that one's name. What the instance holds (memory, handles, sockets, files, the addresses it
    /// was told) it goes on holding.
    pub(crate) fn renew(&mut self, request_id: &Arc<str>, vitals: Arc<Vitals>) {
        self.meter.renew(vitals);
        self.lent.renew(request_id);
        for log in self.logs.iter().flatten() {
            log.renew(request_id);
        }
    }

    /// Lets one more invocation in, beside others: so many are in it now. What they may use they may
    /// use together, and whatever they say is said in the instance's name.
    pub(crate) fn allow_one_more(&mut self, of: u32) {
        self.lent.budget.allow_one_more(of);
        self.lent.denials.allow_one_more();
        for log in self.logs.iter().flatten() {
            log.allow_one_more(of);
        }
    }

    /// Tells its author that the instance had been asked before, for programs that cannot be.
    pub(crate) fn note_asked_before(&self, times: u32) {
        if let Some(stderr) = &self.logs[0] {
            stderr.note(&format!(
                "this instance had answered before, {times} times; if the program can answer only \
                 once, its isolation is `fresh`"
            ));
        }
    }

    /// Whether nothing of the invocation that has just ended is left that another must not meet:
    /// a response that nobody will end, or more handles than leave it enough.
    pub(crate) fn is_clean(&mut self) -> bool {
        let mut handles: usize = 0;
        let unfinished = self.table.iter_mut().any(|entry| {
            handles += 1;
            entry.is::<HostOutgoingBody>()
        });
        !unfinished && handles <= HANDLES_LEFT_MAX
    }

    /// Its folders, as those see them that act for it.
    pub(crate) fn files(&mut self) -> FilesView<'_> {
        FilesView {
            engine: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            files: &self.files,
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

impl Metered for Guest {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

/// The state of a core module's store (preview 1).
pub(crate) struct Guest01 {
    pub(crate) wasi: WasiP1Ctx,
    meter: Meter,
    /// The descriptors of its files and folders.
    pub(crate) files_table: files01::Table,
    /// Its folders. Last, as in [`Guest`].
    pub(crate) files: Files,
}

impl Guest01 {
    pub(crate) fn new(granted: Granted, meter: Meter) -> Self {
        let Granted {
            mut wasi, files, ..
        } = granted;
        let mut wasi = wasi.build_p1();
        wasi.ctx().table.set_max_capacity(HANDLES_MAX);
        Self {
            wasi,
            meter,
            files_table: files01::Table::default(),
            files,
        }
    }
}

impl Metered for Guest01 {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

/// What a guest's state is made of.
pub(crate) struct Granted {
    pub(crate) wasi: WasiCtxBuilder,
    files: Files,
    logs: Logs,
}

/// Its stderr, and its stdout if that is a log too.
type Logs = [Option<GuestLog>; 2];

impl Granted {
    /// Makes stdout a log.
    pub(crate) fn log_stdout(&mut self, label: LogLabel) {
        let log = GuestLog::new(label, "stdout");
        self.wasi.stdout(log.clone());
        self.logs[1] = Some(log);
    }
}

/// A WASI context with exactly what was granted: nothing but the function's own
/// environment and folders, a clock, random numbers, and a log to write to.
pub(crate) fn granted(
    lent: &Arc<Lent>,
    dirs: &OpenedDirs,
    tmp: Option<TmpDir>,
    label: LogLabel,
) -> Result<Granted, Outcome> {
    let mut wasi = WasiCtxBuilder::new();
    let stderr = GuestLog::new(label, "stderr");
    wasi.max_random_size(RANDOM_BYTES_MAX)
        .stderr(stderr.clone());
    sockets::govern(&mut wasi, lent);
    for (name, value) in &lent.powers.grants.env {
        wasi.env(name, value);
    }
    config::into_env(&lent.powers, &mut wasi);
    let rehearsed = lent.powers.rehearsed.as_deref();
    let now = rehearsed.and_then(Rehearsed::now);
    clock::grant(lent.powers.grants.clock, now, &mut wasi);
    match rehearsed.and_then(Rehearsed::numbers) {
        None => random::grant(&mut wasi),
        Some(mut numbers) => {
            let seed = u128::from(numbers.next());
            wasi.insecure_random_seed(seed)
                .insecure_random(numbers.clone())
                .secure_random(numbers);
        }
    }
    let files = dirs.lend(tmp, lent, &mut wasi)?;
    let logs = [Some(stderr), None];
    Ok(Granted { wasi, files, logs })
}
