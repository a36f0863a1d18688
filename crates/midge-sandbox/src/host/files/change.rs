//! Changing a folder: names that come, go and move.
//!
//! Decides what a name counts, and which moves are none of a guest's: out of a folder
//! whose bytes are counted elsewhere, and links that could lead out. Doing it is the
//! engine's, which keeps paths below the folder they begin at.
//!
//! **Invariant:** a link that a guest makes only ever leads down from where it lies, so
//! that nobody who reads the folder from outside is led out of it, wherever the link is
//! moved.

use std::fs::File;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::OFlags;
use wasmtime_wasi::ResourceTable;
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor as _, PathFlags};

use super::open::below;
use super::{Hindrance, Place, on_file_thread, work_in};
use crate::host::denied::Remedy;
use crate::host::quota::{Changing, Charge, Quota};

/// A name in a folder that a guest has open.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) place: Place,
    pub(crate) dir: Dir,
    pub(crate) path: String,
}

impl Named {
    fn may_change(&self, verb: &str) -> Result<(), ErrorCode> {
        self.place.may_change(|| format!("{verb} {}", self.path))
    }

    fn without_slash(&self) -> Self {
        Self {
            path: self.path.trim_end_matches('/').to_owned(),
            ..self.clone()
        }
    }

    /// Counts one more name, which is there when what is returned is dropped.
    async fn enter(&self, verb: &str) -> Result<Option<Charge>, ErrorCode> {
        self.may_change(verb)?;
        let Some(quota) = self.place.quota() else {
            return Ok(None);
        };
        if let Ok(charge) = quota.enter() {
            return Ok(Some(charge));
        }
        let enter = |quota: Option<&Arc<Quota>>| {
            let quota = quota.expect("it was there a moment ago");
            quota.enter().map_err(Hindrance::from)
        };
        let what = || format!("{verb} {}", self.path);
        work_in(&self.place, what, enter).await.map(Some)
    }
}

/// Makes a folder.
pub(crate) async fn create_directory(name: Named) -> Result<(), ErrorCode> {
    let _charge = name.enter("create folder").await?;
    let mut engine = Engine::default();
    let dir = engine.push(name.dir)?;
    code(engine.view().create_directory_at(dir, name.path).await)
}

/// Makes a symbolic link to `target`.
pub(crate) async fn symlink(target: String, name: Named) -> Result<(), ErrorCode> {
    if !leads_down(&target) {
        let what = format!("link {} to {target}", name.path);
        let why = "a link may only lead down from where it lies".to_owned();
        name.place.tell(&what, why, Remedy::Nothing);
        return Err(ErrorCode::NotPermitted);
    }
    let _charge = name.enter("create link").await?;
    let mut engine = Engine::default();
    let dir = engine.push(name.dir)?;
    code(engine.view().symlink_at(dir, target, name.path).await)
}

/// Gives a file a second name.
pub(crate) async fn link(old: Named, flags: PathFlags, new: Named) -> Result<(), ErrorCode> {
    old.may_change("link")?;
    stays_counted(&old, &new)?;
    let _charge = new.enter("create link").await?;
    let mut engine = Engine::default();
    let (from, to) = (engine.push(old.dir)?, engine.push(new.dir)?);
    let mut view = engine.view();
    code(view.link_at(from, flags, old.path, to, new.path).await)
}

/// Moves a file or folder, over one that is there.
pub(crate) async fn rename(old: Named, new: Named) -> Result<(), ErrorCode> {
    old.may_change("move")?;
    new.may_change("move to")?;
    stays_counted(&old, &new)?;
    // What a slash says about the new name is the engine's affair; a file there would be gone.
    let gone = new.without_slash();
    deleting(gone, async move || {
        let mut engine = Engine::default();
        let (from, to) = (engine.push(old.dir)?, engine.push(new.dir)?);
        code(engine.view().rename_at(from, old.path, to, new.path).await)
    })
    .await
}

/// Removes a file or a link.
pub(crate) async fn unlink(name: Named) -> Result<(), ErrorCode> {
    name.may_change("remove")?;
    deleting(name.clone(), async move || {
        let mut engine = Engine::default();
        let dir = engine.push(name.dir)?;
        code(engine.view().unlink_file_at(dir, name.path).await)
    })
    .await
}

/// Removes an empty folder.
pub(crate) async fn remove_directory(name: Named) -> Result<(), ErrorCode> {
    name.may_change("remove folder")?;
    let mut engine = Engine::default();
    let dir = engine.push(name.dir)?;
    code(engine.view().remove_directory_at(dir, name.path).await)?;
    name.place.note_freed();
    Ok(())
}

/// What moves between folders would be counted in neither or in both.
fn stays_counted(old: &Named, new: &Named) -> Result<(), ErrorCode> {
    if old.place.counts_with(&new.place) {
        return Ok(());
    }
    let what = format!("move {} to {}", old.path, new.path);
    let why = format!(
        "{} has a quota of its own: copy it",
        new.place.folder.guest()
    );
    old.place.tell(&what, why, Remedy::Nothing);
    Err(ErrorCode::CrossDevice)
}

/// Does something after which a file may have no name any more. It is written down before, because
/// it may be open and take room still. Once begun it goes on when the guest that asked for it is
/// gone, for as long as it keeps others from the folder.
async fn deleting<F>(
    gone: Named,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<(), ErrorCode>
where
    F: Future<Output = Result<(), ErrorCode>> + Send + 'static,
{
    let Some(quota) = gone.place.quota() else {
        return work().await;
    };
    let changing = match remembered(quota, &gone).await? {
        Some(changing) => changing,
        None => {
            quota.forget_deleted().await?;
            remembered(quota, &gone).await?.ok_or(ErrorCode::Busy)?
        }
    };
    let worked = tokio::spawn(async move {
        let done = work().await;
        drop(changing);
        done
    });
    worked.await.unwrap_or(Err(ErrorCode::Io))?;
    quota.note_freed();
    Ok(())
}

/// Writes down what is about to go; nothing if too much is written down already.
async fn remembered(quota: &Arc<Quota>, gone: &Named) -> Result<Option<Changing>, ErrorCode> {
    let changing = quota.change_names().await?;
    let (at, path) = (Arc::clone(&gone.dir.dir), gone.path.clone());
    on_file_thread(move || {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(found) = below(&at, &path, flags) else {
            // What is not found is not deleted either.
            return Ok(Some(changing));
        };
        let file = File::from(found).metadata()?;
        Ok((!file.is_file() || changing.remember(&file)).then_some(changing))
    })
    .await
}

/// Whether a link with this target leads down from wherever it lies.
fn leads_down(target: &str) -> bool {
    let down = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    Path::new(target).components().all(down)
}

/// The engine's own way of doing it, with nothing in it but what it is done to.
#[derive(Default)]
struct Engine {
    ctx: WasiFilesystemCtx,
    table: ResourceTable,
}

impl Engine {
    fn push(&mut self, dir: Dir) -> Result<wasmtime::component::Resource<Descriptor>, ErrorCode> {
        let pushed = self.table.push(Descriptor::Dir(dir));
        pushed.map_err(|_| ErrorCode::InsufficientMemory)
    }

    fn view(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }
}

/// The engine's error code. A trap is a handle that is not in its table, and both are ours.
fn code<T>(result: FsResult<T>) -> Result<T, ErrorCode> {
    result.map_err(|error| error.downcast().unwrap_or(ErrorCode::Io))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_down_or_is_not_made() {
        for good in ["x", "x/y", "./x", "x//y", "..x", "x.."] {
            assert!(leads_down(good), "{good}");
        }
        for bad in ["/", "/etc/passwd", "..", "../x", "x/../y", "x/..", "./.."] {
            assert!(!leads_down(bad), "{bad}");
        }
    }
}
