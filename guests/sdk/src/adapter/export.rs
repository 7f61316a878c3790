//! From the traits to what the component exports.

use super::{
    Adapter, BusError, Context, Delivery, OpenError, Opened, Publisher, Purpose, Store, StoreError, Subscriber,
};
use std::cell::RefCell;
use std::time::Duration;

/// What an instance was opened for.
#[doc(hidden)]
pub enum Lane<A: Adapter> {
    Closed,
    Store(A::Store),
    Publisher(A::Publisher),
    Subscriber(A::Subscriber),
}

/// Calls `f` with this instance's lane. One call runs at a time, so it is never borrowed twice.
#[doc(hidden)]
pub fn with_lane<A: Adapter, T>(
    cell: &'static std::thread::LocalKey<RefCell<Lane<A>>>,
    f: impl FnOnce(&mut Lane<A>) -> T,
) -> T {
    cell.with(|lane| f(&mut lane.borrow_mut()))
}

impl<A: Adapter> Lane<A> {
    pub fn open(&mut self, context: &Context) -> Result<Opened, OpenError> {
        if !matches!(self, Self::Closed) {
            return Err(OpenError::Other(
                "this lane is open already: the host opens a lane once".into(),
            ));
        }
        let (lane, opened) = match context.purpose {
            Purpose::Store => A::open_store(context).map(|(lane, opened)| (Self::Store(lane), opened)),
            Purpose::Publish => A::open_publisher(context).map(|(lane, opened)| (Self::Publisher(lane), opened)),
            Purpose::Subscribe => A::open_subscriber(context).map(|(lane, opened)| (Self::Subscriber(lane), opened)),
        }?;
        *self = lane;
        Ok(opened)
    }

    pub fn store<T>(&mut self, f: impl FnOnce(&mut A::Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self {
            Self::Store(store) => f(store),
            _ => Err(StoreError::Invalid("this lane was not opened for the store".into())),
        }
    }

    pub fn uncertainty(&self) -> u32 {
        match self {
            Self::Store(store) => u32::try_from(store.uncertainty().as_millis()).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    pub fn examine(&mut self) -> Vec<super::Finding> {
        match self {
            Self::Store(store) => store.examine(),
            _ => Vec::new(),
        }
    }

    pub fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BusError> {
        match self {
            Self::Publisher(publisher) => publisher.publish(topic, payload),
            _ => Err(BusError::Invalid("this lane was not opened to publish".into())),
        }
    }

    pub fn subscribe(&mut self, topics: Vec<String>) -> Result<(), BusError> {
        self.subscriber()?.subscribe(topics)
    }

    pub fn next(&mut self, max: u32, timeout: u32) -> Result<Vec<Delivery>, BusError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        self.subscriber()?.next(max, Duration::from_millis(timeout.into()))
    }

    fn subscriber(&mut self) -> Result<&mut A::Subscriber, BusError> {
        match self {
            Self::Subscriber(subscriber) => Ok(subscriber),
            _ => Err(BusError::Invalid("this lane was not opened to subscribe".into())),
        }
    }
}

/// Makes an [`Adapter`](crate::adapter::Adapter) the one that the component exports. Once in a crate; natively it does
/// nothing.
#[macro_export]
macro_rules! export_adapter {
    ($adapter:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::adapter::bindings::exports::shardwright::coordinator::{bus, clock, lifecycle, store};
            use $crate::adapter::{Adapter, Lane, Store, with_lane};

            ::std::thread_local! {
                static LANE: ::std::cell::RefCell<Lane<$adapter>> = const { ::std::cell::RefCell::new(Lane::Closed) };
            }

            struct Exported;

            /// The subscription of this instance: its lane is the subscriber.
            struct ExportedSubscription;

            impl lifecycle::Guest for Exported {
                fn describe() -> lifecycle::Description {
                    <$adapter as Adapter>::describe()
                }

                fn requires(
                    config: ::std::string::String,
                ) -> ::core::result::Result<::std::vec::Vec<::std::string::String>, ::std::string::String> {
                    <$adapter as Adapter>::requires(&config)
                }

                fn open(
                    context: lifecycle::Context,
                ) -> ::core::result::Result<lifecycle::Opened, lifecycle::OpenError> {
                    with_lane(&LANE, |lane| lane.open(&context))
                }

                fn examine() -> ::std::vec::Vec<lifecycle::Finding> {
                    with_lane(&LANE, |lane| lane.examine())
                }

                fn erase() -> ::core::result::Result<(), store::StoreError> {
                    with_lane(&LANE, |lane| lane.store(|store| store.erase()))
                }
            }

            impl store::Guest for Exported {
                fn get(key: ::std::string::String) -> ::core::result::Result<store::Reading, store::StoreError> {
                    with_lane(&LANE, |lane| lane.store(|store| store.get(&key)))
                }

                fn list(
                    prefix: ::std::string::String,
                    since: u64,
                ) -> ::core::result::Result<store::Listing, store::StoreError> {
                    with_lane(&LANE, |lane| lane.store(|store| store.list(&prefix, since)))
                }

                fn put(
                    key: ::std::string::String,
                    value: ::std::vec::Vec<u8>,
                    expected: store::Expected,
                ) -> ::core::result::Result<store::Written, store::StoreError> {
                    with_lane(&LANE, |lane| lane.store(|store| store.put(&key, value, expected)))
                }

                fn delete(
                    key: ::std::string::String,
                    expected: store::Expected,
                ) -> ::core::result::Result<store::Written, store::StoreError> {
                    with_lane(&LANE, |lane| lane.store(|store| store.delete(&key, expected)))
                }
            }

            impl clock::Guest for Exported {
                fn uncertainty() -> u32 {
                    with_lane(&LANE, |lane| lane.uncertainty())
                }
            }

            impl bus::Guest for Exported {
                type Subscription = ExportedSubscription;

                fn publish(
                    topic: ::std::string::String,
                    payload: ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<(), bus::BusError> {
                    with_lane(&LANE, |lane| lane.publish(&topic, payload))
                }

                fn subscribe(
                    topics: ::std::vec::Vec<::std::string::String>,
                ) -> ::core::result::Result<bus::Subscription, bus::BusError> {
                    with_lane(&LANE, |lane| lane.subscribe(topics))
                        .map(|()| bus::Subscription::new(ExportedSubscription))
                }
            }

            impl bus::GuestSubscription for ExportedSubscription {
                fn next(
                    &self,
                    max: u32,
                    timeout: u32,
                ) -> ::core::result::Result<::std::vec::Vec<bus::Delivery>, bus::BusError> {
                    with_lane(&LANE, |lane| lane.next(max, timeout))
                }
            }

    $crate::__export_coordinator_adapter_with_clock_impl!(Exported with_types_in $crate::adapter::bindings);
        };
    };
}
