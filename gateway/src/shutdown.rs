//! The two words with which the server stops: first nobody new, then nobody at all. It says when; who listens decides
//! what to finish.

use tokio::sync::watch;

/// How far the stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The server serves.
    Serving,
    /// Nothing new is taken; what is in progress may finish.
    Draining,
    /// What is still in progress ends now.
    Ending,
}

/// Says the words. Dropping it says the last one.
pub struct Stop(watch::Sender<Phase>);

/// Hears them.
#[derive(Clone)]
pub struct Stopping(watch::Receiver<Phase>);

impl Stop {
    /// A server that serves.
    #[must_use]
    pub fn new() -> (Self, Stopping) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (Self(sender), Stopping(receiver))
    }

    /// Moves on to `phase`; never back.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let moves = phase > *now;
            if moves {
                *now = phase;
            }
            moves
        });
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.enter(Phase::Ending);
    }
}

impl Stopping {
    /// Returns when nothing new is to be taken.
    pub async fn draining(&mut self) {
        self.reached(Phase::Draining).await;
    }

    /// Returns when everything is to end.
    pub async fn ending(&mut self) {
        self.reached(Phase::Ending).await;
    }

    /// Whether the stop has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() > Phase::Serving
    }

    async fn reached(&mut self, phase: Phase) {
        // An error means that the sender is gone, and that is the last word.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_words_come_in_order_and_are_not_taken_back() {
        let (stop, mut stopping) = Stop::new();
        assert!(!stopping.has_begun());
        stop.enter(Phase::Draining);
        stopping.draining().await;
        assert!(stopping.has_begun());
        stop.enter(Phase::Serving);
        stopping.draining().await;
        drop(stop);
        stopping.ending().await;
    }
}
