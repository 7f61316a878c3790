//! What an adapter must be besides a coordinator: content with its grants, strict about its configuration, the same
//! each time.

use super::watched::Complaints;
use super::{answers, bus, lives, work};
use crate::adapter::load::Loaded;
use crate::trial::Scratch;
use bytes::Bytes;
use shardwright_components::adapter::{
    AdapterComponent, AdapterCoordinator, AdapterLoadError, AdapterOptions, Grants, ProbeError, RequiresError,
};
use shardwright_coordinator::BusError;
use shardwright_coordinator::broker::{BrokerError, Password};
use shardwright_coordinator::suite::{Outcome, Row, explain};
use shardwright_core::store::StoreError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that one test may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a passed test saw, or why it did not pass.
pub(super) type Verdict = Result<String, Flaw>;

/// Why a test did not pass.
#[derive(Debug)]
pub(super) enum Flaw {
    /// A promise is broken.
    Broken(String),
    /// There is nothing to test.
    Skip(String),
}

impl From<StoreError<Bytes>> for Flaw {
    fn from(error: StoreError<Bytes>) -> Self {
        Self::Broken(explain(&error))
    }
}

/// Errors that say by themselves what is wrong.
macro_rules! unexpected {
    ($($error:ty),*) => {$(
        impl From<$error> for Flaw {
            fn from(error: $error) -> Self {
                Self::Broken(format!("unexpected error: {error:#}"))
            }
        }
    )*};
}
unexpected!(
    BusError,
    BrokerError,
    ProbeError,
    AdapterLoadError,
    RequiresError,
    anyhow::Error
);

/// The adapter under test.
pub(super) struct Subject {
    pub(super) loaded: Loaded,
    pub(super) options: AdapterOptions,
    pub(super) scratch: Arc<Scratch>,
    /// Of the handles of the suite, which has run before.
    pub(super) complaints: Complaints,
    pub(super) quick: bool,
}

impl Subject {
    /// Every test, one after the other.
    pub(super) async fn rows(&self) -> Vec<Row> {
        vec![
            row(
                "no-faults",
                "in the whole suite the host had nothing against any answer",
                self.faultless(),
            )
            .await,
            row(
                "describe",
                "what it is does not depend on grants or chance, nor does what it requires",
                self.describe(),
            )
            .await,
            row(
                "grants-refused",
                "without a grant that it requires it is not opened, and the error names the grant",
                self.refused(),
            )
            .await,
            row(
                "grants-enough",
                "it works with what it requires and asks for nothing else",
                work::enough(self),
            )
            .await,
            row(
                "config",
                "a wrong configuration is refused as such, before anything is opened",
                self.config(),
            )
            .await,
            row(
                "interrupted",
                "a write that is broken off leaves all of it or nothing, and can be read back",
                work::interrupted(self),
            )
            .await,
            row(
                "halved",
                "a write that is cut off on its way leaves nothing",
                answers::halved(self),
            )
            .await,
            row(
                "answer-lost",
                "a write whose answer is lost is indeterminate unless nothing was written, and a reading whose answer \
                 breaks off is none",
                answers::lost(self),
            )
            .await,
            row(
                "topics",
                "a lane that listens delivers what it was asked for, and nothing else",
                bus::topics(self),
            )
            .await,
            row(
                "overflow",
                "what comes while `next` is not called is kept, or a gap is told",
                bus::overflow(self),
            )
            .await,
            row(
                "memory",
                "the memory of a lane lasts for a thousand calls and more",
                work::memory(self),
            )
            .await,
            row(
                "history-lost",
                "a handle of an older history is told that it is lost, and stays lost",
                work::history(self),
            )
            .await,
            row(
                "history-dead",
                "no lane opens with a history that is over, and none that is open goes on",
                lives::dead(self),
            )
            .await,
            row(
                "history-bus",
                "no message passes from one history into another",
                bus::after(self),
            )
            .await,
        ]
    }

    pub(super) fn component(&self) -> AdapterComponent {
        self.loaded.component.clone()
    }

    /// A handle to a namespace of its own.
    pub(super) async fn open(&self, options: AdapterOptions) -> Result<AdapterCoordinator, Flaw> {
        Ok(AdapterCoordinator::open(self.component(), options, self.scratch.space()?).await?)
    }

    /// Exactly the grants that it requires, whatever else the operator allows.
    pub(super) async fn required(&self) -> Result<Grants, Flaw> {
        Ok(self.component().requires(&self.options.config).await?)
    }

    async fn faultless(&self) -> Verdict {
        match self.complaints.all().as_slice() {
            [] => Ok("no lane ended by a fault".into()),
            complaints => Err(Flaw::Broken(complaints.join("; "))),
        }
    }

    async fn describe(&self) -> Verdict {
        let one = self.component();
        let two = AdapterComponent::load(&self.loaded.engine, self.loaded.bytes.clone()).await?;
        let says = |component: &AdapterComponent| {
            (
                component.name().to_owned(),
                component.version().to_owned(),
                component.summary().to_owned(),
                component.options().to_vec(),
            )
        };
        let (first, second) = (says(&one), says(&two));
        if first != second {
            return Err(Flaw::Broken(format!(
                "it described itself as {first:?}, then as {second:?}"
            )));
        }
        let (first, second) = (self.required().await?, two.requires(&self.options.config).await?);
        if first != second {
            return Err(Flaw::Broken(format!("it required {first:?}, then {second:?}")));
        }
        Ok(format!("{} {}", one.name(), one.version()))
    }

    async fn refused(&self) -> Verdict {
        let required = self.required().await?;
        let names: Vec<_> = required.iter().map(ToString::to_string).collect();
        if names.is_empty() {
            return Err(Flaw::Skip("it requires none".into()));
        }
        for (grant, name) in required.iter().zip(&names) {
            let mut options = self.options.clone();
            options.grants = options
                .grants
                .iter()
                .filter(|granted| *granted != grant)
                .cloned()
                .collect();
            match self.open(options).await {
                Ok(_) => return Err(Flaw::Broken(format!("it opened without {name}"))),
                Err(Flaw::Broken(why)) if why.contains(name) => {}
                Err(other) => return Err(Flaw::Broken(format!("without {name} it failed with: {other:?}"))),
            }
        }
        Ok(names.join(", "))
    }

    async fn config(&self) -> Verdict {
        let mut strange = match serde_json::from_str(self.options.config.expose()) {
            Ok(serde_json::Value::Object(config)) => config,
            _ => return Err(Flaw::Broken("the configuration is no JSON object".into())),
        };
        strange.insert("no-such-option".into(), true.into());
        let strange = serde_json::Value::Object(strange).to_string();
        for (what, config) in [
            ("an option that it does not have", strange.as_str()),
            ("a list", "[]"),
            ("text that is no JSON", "{"),
        ] {
            let mut options = self.options.clone();
            options.config = Password::new(config);
            match AdapterCoordinator::open(self.component(), options, self.scratch.space()?).await {
                Ok(_) => return Err(Flaw::Broken(format!("it opened with {what} for its configuration"))),
                Err(BrokerError::Invalid(_)) => {}
                Err(other) => {
                    return Err(Flaw::Broken(format!(
                        "with {what} for its configuration it failed with: {other}"
                    )));
                }
            }
        }
        Ok("an unknown option, a list, and what is no JSON".into())
    }
}

async fn row(name: &'static str, promise: &'static str, test: impl Future<Output = Verdict>) -> Row {
    let begun = Instant::now();
    let verdict = tokio::time::timeout(PATIENCE, test).await;
    let (outcome, detail) = match verdict {
        Ok(Ok(seen)) => (Outcome::Passed, seen),
        Ok(Err(Flaw::Skip(why))) => (Outcome::Skipped, why),
        Ok(Err(Flaw::Broken(why))) => (Outcome::Failed, why),
        Err(_) => (Outcome::Failed, format!("not finished after {PATIENCE:?}")),
    };
    Row {
        name,
        promise,
        outcome,
        detail,
        took: begun.elapsed(),
    }
}
