//! The logs whose growth a connection waits for. Each waits in a future that is kept until it is ready, since one that is dropped
//! and made anew could miss a wake-up.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::service::Subscription;

type Growth = Pin<Box<dyn Future<Output = Subscription> + Send>>;

/// The watches of one connection; as many as it has tails.
#[derive(Default)]
pub struct Watches(Vec<(u64, Growth)>);

impl Watches {
    /// Waits for a log on a request's behalf.
    pub fn add(&mut self, request: u64, mut watch: Subscription) {
        let growth = async move {
            watch.grown().await;
            watch
        };
        self.0.push((request, Box::pin(growth)));
    }

    /// Waits for it no more.
    pub fn remove(&mut self, request: u64) {
        self.0.retain(|(of, _)| *of != request);
    }

    /// Whether it waits for one.
    pub fn has(&self, request: u64) -> bool {
        self.0.iter().any(|(of, _)| *of == request)
    }

    /// The next log that has grown: its request, and its watch, to be added again.
    pub async fn grown(&mut self) -> (u64, Subscription) {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(u64, Subscription)> {
        for at in 0..self.0.len() {
            let Some((request, growth)) = self.0.get_mut(at) else {
                break;
            };
            if let Poll::Ready(watch) = growth.as_mut().poll(cx) {
                let request = *request;
                drop(self.0.remove(at));
                return Poll::Ready((request, watch));
            }
        }
        Poll::Pending
    }
}
