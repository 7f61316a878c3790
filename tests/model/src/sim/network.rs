//! The way between machines and the store: slow, deaf, broken at times.

use super::clock::{MS, Time};
use super::store::Handle;
use super::world::{Next, World};
use shardwright_core::engine::{Event, OpId};
use shardwright_core::join::{Answer, Request};
use shardwright_core::store::{StoreError, StoreTime};
use shardwright_core::values::Key;

impl World {
    /// Somebody says that the store has changed; not everybody hears it.
    pub(super) fn hint(&mut self, from: usize) {
        for machine in 0..self.machines.len() {
            let Some(life) = self.machines[machine].process.as_ref().map(|p| p.life) else {
                continue;
            };
            if machine == from || self.rng.chance(self.scenario.lost_hints) {
                continue;
            }
            let wait = self.rng.within(0, 15 * MS);
            self.after(
                wait,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Look,
                },
            );
        }
    }

    /// A request sets out.
    pub(super) fn send(&mut self, machine: usize, life: u64, op: OpId, request: Request, heard: StoreTime) {
        let Some(process) = self.process(machine, life) else {
            return;
        };
        process.open.insert(op);
        if matches!(request, Request::Get(Key::Meta)) && process.handle.lost {
            process.handle = Handle::default();
        }
        let (run, lost) = (process.handle.run, process.handle.lost);
        let link = &self.machines[machine].link;
        let reads = !request.is_write();
        let unreported = self.unreported.iter().position(|m| *m == machine);
        if unreported.is_some() || lost {
            unreported.map(|at| self.unreported.swap_remove(at));
            let outcome = Err(StoreError::HistoryLost("the store is another one".to_owned()));
            return self.after(
                MS,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Stored { op, outcome },
                },
            );
        }
        if self.now < link.refused || self.now < self.outage && self.rng.chance(50) {
            let outcome = Err(StoreError::Unavailable("connection refused".to_owned()));
            let wait = self.rng.within(0, 5) * MS;
            return self.after(
                wait,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Stored { op, outcome },
                },
            );
        }
        // The runtime waits no longer than one renewal interval; what arrives later is dropped.
        let why = "no answer in time".to_owned();
        let outcome = Err(if reads {
            StoreError::Unavailable(why)
        } else {
            StoreError::Indeterminate(why)
        });
        let timeout = self.scenario.timing.renew * MS;
        self.after(
            timeout,
            Next::Tell {
                machine,
                life,
                event: Event::Stored { op, outcome },
            },
        );
        let wait = self.travel(machine);
        self.after(
            wait,
            Next::Arrive {
                machine,
                life,
                op,
                request,
                run,
                heard,
            },
        );
    }

    /// How long a message between a machine and the store is on its way.
    fn travel(&mut self, machine: usize) -> Time {
        let slow = self.now < self.machines[machine].link.slow;
        let longest = if slow { self.rng.pick(&[400, 2_500]) } else { 8 } * MS;
        self.rng.within(100, longest)
    }

    /// A request is performed, at this instant, and its answer sets out.
    pub(super) fn arrive(
        &mut self,
        machine: usize,
        life: u64,
        op: OpId,
        request: Request,
        run: Option<usize>,
        heard: StoreTime,
    ) {
        let (lost, deaf) = {
            let link = &self.machines[machine].link;
            (
                self.now < link.requests_lost.max(self.outage),
                self.now < link.answers_lost,
            )
        };
        if lost {
            return;
        }
        let put = match &request {
            Request::Put { key, value, .. } => Some((key.clone(), value.clone())),
            _ => None,
        };
        // Whoever has died meanwhile has left the request as it was.
        let mut left = Handle {
            run,
            ..Handle::default()
        };
        let process = self.machines[machine].process.as_mut().filter(|p| p.life == life);
        let handle = process.map_or(&mut left, |p| &mut p.handle);
        let outcome = self.store.serve(handle, run, heard, request, self.now);
        if let (Some((key, value)), Ok(Answer::Written(_))) = (&put, &outcome) {
            self.checker.wrote(key, value, self.now);
            if matches!(key, Key::Plan { .. }) {
                self.last_plan = self.now;
            }
            let name = &self.machines[machine].hostname;
            self.trace.wrote(self.now, name, key, value);
        }
        if !deaf {
            let wait = self.travel(machine);
            self.after(
                wait,
                Next::Tell {
                    machine,
                    life,
                    event: Event::Stored { op, outcome },
                },
            );
        }
    }
}
