//! The bus: every handle reads the whole topic from its end, by itself. Offsets tell what is missing.

use super::client::{ClosingClient, DeliveryTag};
use super::error;
use super::frame;
use super::outbox::{Outbox, Reader};
use crate::broker::Backoff;
use crate::contract::BusError;
use crate::queue::{QueueSubscription, Subscribers};
use crate::tasks::{End, Tasks};
use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

/// After how long without any message somebody asks whether messages still arrive.
const QUIET: Duration = Duration::from_secs(20);
/// How many messages are read before others get their turn.
const STRETCH: u32 = 128;

pub(super) struct LogBus {
    outbox: Arc<Outbox>,
    subscribers: Arc<Mutex<Subscribers>>,
    /// Reading begins with the first subscriber, and goes on as long as this.
    listening: tokio::sync::Mutex<Option<BusReader>>,
    end: End,
}

/// What reads the topic.
struct BusReader {
    _tasks: Tasks,
    /// The offset of the next message.
    place: watch::Receiver<u64>,
}

impl LogBus {
    pub(super) fn new(outbox: Arc<Outbox>, end: End) -> Self {
        Self {
            outbox,
            end,
            subscribers: Arc::default(),
            listening: tokio::sync::Mutex::default(),
        }
    }

    pub(super) async fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), BusError> {
        publish(&self.outbox, &frame::encode(topic, payload)).await.map(drop)
    }

    pub(super) async fn subscribe(&self, topics: &[&str]) -> Result<QueueSubscription, BusError> {
        self.listen().await?;
        Ok(lock(&self.subscribers).add(topics))
    }

    /// Sees to it that everything from now on is heard; says where the handle listens.
    async fn listen(&self) -> Result<watch::Receiver<u64>, BusError> {
        let mut listening = self.listening.lock().await;
        if let Some(listening) = &*listening {
            return Ok(listening.place.clone());
        }
        let next = end(&self.outbox).await?;
        let reader = self.reader(next)?;
        let (place, seen) = watch::channel(next);
        let (broke, stalled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut tasks = Tasks::new(self.end.clone());
        tasks.spawn(
            "what looks whether messages arrive",
            echo(self.outbox.clone(), seen.clone(), broke.clone(), stalled.clone()),
        );
        let listener = Listener {
            outbox: self.outbox.clone(),
            subscribers: self.subscribers.clone(),
            reader,
            place,
            broken: false,
            broke,
        };
        tasks.spawn("what hears the bus", listener.listen(stalled));
        *listening = Some(BusReader {
            _tasks: tasks,
            place: seen.clone(),
        });
        Ok(seen)
    }

    /// Sends an echo and waits until it is heard.
    pub(super) async fn echo(&self) -> Result<(), BusError> {
        let mut place = self.listen().await?;
        let stands = publish(&self.outbox, &frame::encode("", &[])).await?;
        match timeout(self.outbox.common.patience(), place.wait_for(|next| *next > stands)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(BusError::Closed),
            Err(_) => Err(BusError::Unavailable("an echo did not arrive".into())),
        }
    }

    fn reader(&self, next: u64) -> Result<ClosingClient<Reader>, BusError> {
        let reader = self.outbox.reader(&self.outbox.common.bus, next);
        reader.map_err(|error| BusError::Unavailable(error.to_string()))
    }
}

impl Drop for LogBus {
    fn drop(&mut self) {
        lock(&self.subscribers).each(|queue| queue.close(BusError::Closed));
    }
}

// A panic under this lock leaves a list of subscribers behind that is sound.
fn lock(subscribers: &Mutex<Subscribers>) -> std::sync::MutexGuard<'_, Subscribers> {
    subscribers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a frame, and says at which offset it stands.
async fn publish(outbox: &Outbox, frame: &[u8]) -> Result<u64, BusError> {
    let topic = &outbox.common.bus;
    let (answer, stored) = oneshot::channel();
    outbox
        .send(topic, frame, DeliveryTag::Bus(answer))
        .map_err(|error| error::unsent(&error, topic))?;
    match timeout(outbox.common.patience(), stored).await {
        Ok(Ok(stored)) => stored.map_err(|error| error::unsent(&error, topic)),
        Ok(Err(_)) => Err(BusError::Closed),
        Err(_) => Err(BusError::Unavailable("the broker did not answer in time".into())),
    }
}

/// The offset of the next message.
async fn end(outbox: &Outbox) -> Result<u64, BusError> {
    let topic = &outbox.common.bus;
    let range = outbox.range(topic, outbox.common.session()).await;
    range.map(|(_, high)| high).map_err(|error| match error::code(&error) {
        Some(Code::TopicAuthorizationFailed) => {
            BusError::Denied(format!("reading the topic {topic}: grant Read and Describe on it"))
        }
        _ => BusError::Unavailable(error.to_string()),
    })
}

/// Reads the topic for all subscribers of the handle.
struct Listener {
    outbox: Arc<Outbox>,
    subscribers: Arc<Mutex<Subscribers>>,
    reader: ClosingClient<Reader>,
    /// The offset of the next message.
    place: watch::Sender<u64>,
    /// The connection broke since the last message.
    broken: bool,
    /// It broke just now.
    broke: Arc<Notify>,
}

impl Listener {
    async fn listen(mut self, stalled: Arc<Notify>) {
        let mut stretch = 0;
        loop {
            tokio::select! {
                message = self.reader.recv() => {
                    let failed = match message {
                        Ok(message) => {
                            let offset = u64::try_from(message.offset()).unwrap_or_default();
                            let payload = message.payload().unwrap_or_default();
                            hand_out(&self.subscribers, &self.place, &mut self.broken, offset, payload);
                            None
                        }
                        Err(error) => Some(error),
                    };
                    if let Some(error) = failed {
                        self.trouble(&error).await;
                    }
                    stretch += 1;
                    if stretch % STRETCH == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                () = stalled.notified() => {
                    tracing::warn!(
                        coordinator = self.outbox.common.location,
                        "the reader of the bus stands still; it is replaced"
                    );
                    self.broken = true;
                    let next = *self.place.borrow();
                    self.read_from(next);
                }
            }
        }
    }

    /// The connection broke, or the reader cannot go on where it is: what was there is gone.
    async fn trouble(&mut self, error: &KafkaError) {
        if error::is_disconnected(error) {
            self.broken = true;
            return self.broke.notify_one();
        }
        if !error::is_elsewhere(error) && !matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return;
        }
        self.broken = true;
        let mut backoff = Backoff::default();
        loop {
            match end(&self.outbox).await {
                Ok(next) => {
                    self.place.send_replace(next);
                    return self.read_from(next);
                }
                Err(_) => sleep(backoff.next_wait()).await,
            }
        }
    }

    fn read_from(&mut self, next: u64) {
        match self.outbox.reader(&self.outbox.common.bus, next) {
            Ok(reader) => self.reader = reader,
            // The settings were good before: this is a lack of threads, and the echo finds it again.
            Err(error) => tracing::warn!(%error, "no reader for the bus"),
        }
    }
}

fn hand_out(
    subscribers: &Mutex<Subscribers>,
    place: &watch::Sender<u64>,
    broken: &mut bool,
    offset: u64,
    record: &[u8],
) {
    let next = place.send_replace(offset + 1);
    let mut subscribers = lock(subscribers);
    let lost = offset.checked_sub(next);
    if std::mem::take(broken) || lost.is_none() {
        subscribers.each(|queue| queue.lose(0));
    } else if let Some(lost @ 1..) = lost {
        subscribers.each(|queue| queue.lose(lost));
    }
    if let Some((topic, payload)) = frame::decode(record) {
        let payload = Bytes::copy_from_slice(payload);
        subscribers.each(|queue| queue.push(topic, &payload));
    }
}

/// Sends an echo when nothing was heard for a while or a connection broke, and says so if it does not arrive.
async fn echo(outbox: Arc<Outbox>, mut place: watch::Receiver<u64>, broke: Arc<Notify>, stalled: Arc<Notify>) {
    let frame = frame::encode("", &[]);
    loop {
        tokio::select! {
            heard = timeout(QUIET, place.changed()) => match heard {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => return,
                Err(_) => {}
            },
            () = broke.notified() => {}
        }
        let mut backoff = Backoff::default();
        let stands = loop {
            match publish(&outbox, &frame).await {
                Ok(offset) => break offset,
                Err(_) => sleep(backoff.next_wait()).await,
            }
        };
        if timeout(outbox.common.session(), place.wait_for(|next| *next > stands))
            .await
            .is_err()
        {
            stalled.notify_one();
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::contract::{Delivery, Subscription};

    #[tokio::test]
    async fn offsets_tell_what_is_missing() {
        let subscribers = Mutex::new(Subscribers::default());
        let mut subscription = lock(&subscribers).add(&["t"]);
        let (place, _) = watch::channel(10);
        let (message, other) = (frame::encode("t", b"x"), frame::encode("u", b"y"));
        let mut broken = false;
        for (offset, record) in [(10, &message), (11, &other), (14, &message)] {
            hand_out(&subscribers, &place, &mut broken, offset, record);
        }
        broken = true;
        hand_out(&subscribers, &place, &mut broken, 15, &message);
        hand_out(&subscribers, &place, &mut broken, 3, &message);
        let heard = subscription.next(100).await.expect("deliveries");
        let (x, gap) = (
            Delivery::Message {
                topic: "t".into(),
                payload: Bytes::from_static(b"x"),
            },
            |lost| Delivery::Gap { lost },
        );
        assert_eq!(heard, [x.clone(), gap(2), x.clone(), gap(0), x.clone(), gap(0), x]);
        assert_eq!((*place.borrow(), broken), (4, false));
    }
}
