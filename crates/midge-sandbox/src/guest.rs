//! Everything a running guest may touch, in one place.
//!
//! Decides what a store holds: the WASI context built from grants, the handles the
//! guest has open, its meter. A security reviewer reads this file and `host/`.
//!
//! **Invariant:** a guest state is made for one invocation and dropped with it.

use midge_model::{Outcome, Revision};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::guest_log::{GuestLog, LogLabel};
use crate::host::dirs::OpenedDirs;
use crate::host::http_out::Denied;
use crate::limits::{HANDLE_BYTES_MAX, HANDLES_MAX, Meter, Metered};

/// Random bytes in one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The state of a component's store.
pub(crate) struct Guest {
    /// Environment, folders, clocks, random numbers, stdio; sockets are denied.
    wasi: WasiCtx,
    /// Bounds of header fields.
    http: WasiHttpCtx,
    /// Outbound HTTP.
    outbound: Denied,
    /// The handles the guest holds.
    table: ResourceTable,
    /// What it may use.
    meter: Meter,
}

impl Guest {
    pub(crate) fn new(mut wasi: WasiCtxBuilder, meter: Meter) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HANDLE_BYTES_MAX);
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            wasi: wasi.build(),
            http,
            outbound: Denied,
            table,
            meter,
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
}

impl Guest01 {
    pub(crate) fn new(mut wasi: WasiCtxBuilder, meter: Meter) -> Self {
        let mut wasi = wasi.build_p1();
        wasi.ctx().table.set_max_capacity(HANDLES_MAX);
        Self { wasi, meter }
    }
}

impl Metered for Guest01 {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

/// A WASI context with exactly what `revision` was granted: nothing but its own
/// environment and folders, a clock, random numbers, and a log to write to.
pub(crate) fn granted(
    revision: &Revision,
    dirs: &OpenedDirs,
    label: LogLabel,
) -> Result<WasiCtxBuilder, Outcome> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stderr(GuestLog::new(label, "stderr"));
    for (name, value) in &revision.grants.env {
        wasi.env(name, value);
    }
    dirs.preopen(&mut wasi)?;
    Ok(wasi)
}
