//! Values of the store as nobody of us would write them.

use super::HOSTS;
use arbitrary::Arbitrary;
use shardwright_core::id::{HistoryId, InstanceId, NodeId, SessionId};
use shardwright_core::plan::{PlanPart, shape};
use shardwright_core::role::{Mode, RoleSpec};
use shardwright_core::store::{Revision, StoreTime};
use shardwright_core::values::{Host, IdOwner, Key, Leader, Meta, NodeInfo, Session, Value};
use std::sync::Arc;

/// A number, often one at which arithmetic ends.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Number {
    Small(u8),
    Large(u8),
    Any(u64),
}

impl Number {
    pub(super) fn get(self) -> u64 {
        match self {
            Self::Small(n) => n.into(),
            Self::Large(n) => u64::MAX - u64::from(n),
            Self::Any(n) => n,
        }
    }

    pub(super) fn id(self) -> u32 {
        match self {
            Self::Small(n) => u32::from(n % 8),
            Self::Large(n) => u32::MAX - u32::from(n),
            Self::Any(n) => n as u32,
        }
    }
}

/// A value as nobody of us would write it.
#[derive(Arbitrary, Debug)]
pub(super) enum Planted {
    Meta(Number, Number),
    Host(bool, Number, Number, Number),
    Id(Number, bool),
    Session(Number, bool, [Number; 6], bool),
    Node(Number, Number, Number, bool, bool),
    Leader(Number, Number),
    Plan {
        role: bool,
        part: Number,
        numbers: [Number; 2],
        width: u8,
        ours: bool,
        rows: Vec<Number>,
        sessions: Vec<(Number, Number)>,
        granted: Vec<Number>,
        targets: Vec<Number>,
    },
}

impl Planted {
    pub(super) fn entry(self, roles: &[RoleSpec]) -> Option<(Key, Value)> {
        let host = |first: bool| HOSTS[usize::from(first)].to_owned();
        let session = |number: Number| SessionId(u128::from(number.get()) << 64 | u128::from(number.get()));
        Some(match self {
            Self::Meta(history, base) => {
                let coordinator = "test".to_owned();
                let (history, base) = (HistoryId(history.get().into()), base.get());
                (
                    Key::Meta,
                    Value::Meta(Meta {
                        history,
                        base,
                        coordinator,
                    }),
                )
            }
            Self::Host(first, instance, id, of) => {
                let value = Host {
                    instance: InstanceId(instance.get().into()),
                    id: NodeId::new(id.id()),
                    session: Some(session(of)),
                };
                (Key::Host(host(first)), Value::Host(value))
            }
            Self::Id(id, first) => (
                Key::Id(NodeId::new(id.id())?),
                Value::Id(IdOwner { hostname: host(first) }),
            ),
            Self::Session(id, first, [instance, of, applied, began, away, over], ended) => {
                let value = Session {
                    hostname: host(first),
                    instance: InstanceId(instance.get().into()),
                    session: session(of),
                    applied: Revision(applied.get()),
                    began: StoreTime(began.get()),
                    away: away.get(),
                    ended: ended.then(|| StoreTime(over.get())),
                };
                (Key::Session(NodeId::new(id.id())?), Value::Session(value))
            }
            Self::Node(id, capacity, settings, drain, cordon) => {
                let value = NodeInfo {
                    capacity: capacity.id(),
                    settings: settings.get().into(),
                    drain,
                    cordon,
                    ..NodeInfo::default()
                };
                (Key::Node(NodeId::new(id.id())?), Value::Node(Arc::new(value)))
            }
            Self::Leader(id, of) => {
                let value = Leader {
                    node: NodeId::new(id.id()),
                    session: session(of),
                    settings: 0,
                };
                (Key::Leader, Value::Leader(value))
            }
            Self::Plan {
                role,
                part,
                numbers: [epoch, inputs],
                width,
                ours,
                rows,
                sessions,
                granted,
                targets,
            } => {
                let spec = &roles[usize::from(role)];
                let width = u32::from(width % 3) + 1;
                let shards = if ours {
                    spec.shards as usize
                } else {
                    rows.len() / width as usize
                };
                let at =
                    |list: &[Number], at: usize| list.get(at % list.len().max(1)).copied().unwrap_or(Number::Small(0));
                let sessions: Vec<_> = sessions
                    .iter()
                    .filter_map(|(id, of)| Some((NodeId::new(id.id())?, session(*of))))
                    .collect();
                let exclusive = if spec.mode == Mode::Primary { shards } else { 0 };
                let value = PlanPart {
                    shape: if ours { shape(spec) } else { inputs.get() },
                    epoch: epoch.get(),
                    inputs: inputs.get(),
                    width,
                    rows: (0..shards * width as usize).map(|i| at(&rows, i).id()).collect(),
                    holders: (0..exclusive).map(|i| (i % (sessions.len() + 1)) as u32).collect(),
                    granted: (0..exclusive).map(|i| at(&granted, i).get()).collect(),
                    targets: (0..exclusive).map(|i| at(&targets, i).id()).collect(),
                    sessions,
                };
                let role = spec.name.clone();
                (Key::Plan { role, part: part.id() }, Value::Plan(Arc::new(value)))
            }
        })
    }
}
