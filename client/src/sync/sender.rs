//! Sending over one link, in order.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::mpsc;

use super::run::Done;
use super::words::{Event as Happened, LinkId};
use crate::link::Link;
use crate::store::thread::Keeper;

/// Sends messages in the order of their numbers: each is begun before the next one, and none waits for another's answer.
pub(super) async fn send_in_order(
    link: LinkId,
    mut ids: mpsc::UnboundedReceiver<u64>,
    to: Arc<dyn Link>,
    keeper: Keeper,
    done: mpsc::UnboundedSender<Done>,
) {
    while let Some(id) = ids.recv().await {
        let gone = done.clone();
        let outgoing = keeper.run(move |store| {
            let outgoing = store.outgoing(id)?;
            if outgoing.is_none() {
                // Told from the store's thread, so that it comes before the message is put in again, or not at all.
                let _ = gone.send(Done::Happened(Happened::Gone(id)));
            }
            Ok(outgoing)
        });
        let message = match outgoing.await {
            Ok(Some(message)) => message,
            Ok(None) => continue,
            Err(error) => {
                let _ = done.send(Done::Broken(error));
                return;
            }
        };
        let mut sending = to.send(message);
        let begun = poll_fn(|context| Poll::Ready(sending.as_mut().poll(context))).await;
        let answered = done.clone();
        match begun {
            Poll::Ready(answer) => {
                let _ = answered.send(Done::Answered(link, id, answer));
            }
            Poll::Pending => {
                tokio::spawn(async move {
                    let answer = sending.await;
                    let _ = answered.send(Done::Answered(link, id, answer));
                });
            }
        }
    }
}
