//! The store on a thread of its own: SQLite blocks, and a runtime must not. Work is done in the order in which it was asked for.

use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Store, StoreError};

/// Reads of the program that may wait for the thread; beyond it callers wait.
const READS: usize = 64;

enum Work {
    Do(Box<dyn FnOnce(&mut Store) + Send>),
    Stop(oneshot::Sender<()>),
}

/// A way to the thread. It ends when the last one is gone, or when it is told to.
#[derive(Clone)]
pub(crate) struct Keeper {
    work: mpsc::UnboundedSender<Work>,
    /// Bounds what callers may ask. What synchronisation asks is bounded by what it has under way.
    room: Arc<Semaphore>,
}

impl Keeper {
    /// Opens a store on a new thread.
    pub(crate) async fn start(
        open: impl FnOnce() -> Result<Store, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (work, mut from) = mpsc::unbounded_channel();
        let (opened, opening) = oneshot::channel();
        thread::Builder::new()
            .name("waybill-store".to_owned())
            .spawn(move || {
                let mut store = match open() {
                    Ok(store) => store,
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                let _ = opened.send(Ok(()));
                while let Some(work) = from.blocking_recv() {
                    match work {
                        Work::Do(work) => work(&mut store),
                        Work::Stop(stopped) => {
                            drop(store);
                            let _ = stopped.send(());
                            return;
                        }
                    }
                }
            })
            .map_err(|error| StoreError::Sqlite(format!("no thread: {error}")))?;
        opening.await.unwrap_or(Err(StoreError::Closed))?;
        Ok(Self {
            work,
            room: Arc::new(Semaphore::new(READS)),
        })
    }

    /// Does something with the store, and returns what came of it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The semaphore is never closed.
        let _place = self.room.acquire().await.map_err(|_| StoreError::Closed)?;
        let (done, result) = oneshot::channel();
        self.ask(move |store| {
            // Nobody waits any more: it was done all the same.
            let _ = done.send(work(store));
        });
        result.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Has something done with the store, without waiting for it. After the end nothing is done.
    pub(crate) fn ask(&self, work: impl FnOnce(&mut Store) + Send + 'static) {
        let _ = self.work.send(Work::Do(Box::new(work)));
    }

    /// Closes the store when what was asked for is done, and waits until it is closed.
    pub(crate) async fn stop(&self) {
        let (stopped, end) = oneshot::channel();
        let _ = self.work.send(Work::Stop(stopped));
        let _ = end.await;
    }
}
