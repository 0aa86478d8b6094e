//! Many workers, one clock.

use std::sync::Arc;
use std::thread;

use anyhow::Result;
use crossbeam_channel::{Receiver, Sender, bounded};
use natshard_nat::{NatDefaultAllocator, NatStats};

use super::batch::Batch;
use super::context::Context;
use super::ledger::Ledger;
use super::packets::Packets;
use super::worker::{Progress, Worker};
use crate::capture::Writer;

/// The workers, each on its thread.
pub(super) struct Team<'scope, 'c> {
    windows: Vec<Sender<Arc<Batch>>>,
    done: Receiver<(usize, Progress)>,
    threads: Vec<thread::ScopedJoinHandle<'scope, (NatStats, Ledger<'c>)>>,
    /// Whether the workers take turns.
    in_turns: bool,
    /// Windows handed out and not done yet, summed over workers.
    at_work: usize,
    /// Sessions and tuples of each worker at the end of its last window.
    pub(super) latest: Vec<(u64, u64)>,
    pub(super) sessions_peak: u64,
    pub(super) tuples_peak: u64,
    /// Packets handed out.
    pub(super) packets: u64,
    /// Translated packets of the window at work.
    kept: Vec<Packets>,
}

impl<'scope, 'c: 'scope> Team<'scope, 'c> {
    pub(super) fn start(
        scope: &'scope thread::Scope<'scope, '_>,
        context: &'c Context,
    ) -> Result<Self> {
        let shards = context.shards;
        // A lone worker may lag a few windows behind the reader; several go in step.
        let (say_done, done) = bounded(shards.max(4));
        let (mut windows, mut threads) = (Vec::new(), Vec::new());
        for shard in 0..shards {
            let allocator = NatDefaultAllocator::new(&context.engine, shard)?;
            let (hand_out, window) = bounded::<Arc<Batch>>(2);
            let say_done = say_done.clone();
            let thread = thread::Builder::new().name(format!("shard-{shard}"));
            let thread = thread.spawn_scoped(scope, move || {
                let mut worker = Worker::new(context, shard, allocator);
                for batch in window {
                    if say_done.send((shard, worker.process(&batch))).is_err() {
                        break;
                    }
                }
                (worker.stats(), worker.finish())
            })?;
            windows.push(hand_out);
            threads.push(thread);
        }
        Ok(Team {
            windows,
            done,
            threads,
            in_turns: context.plan.seed.is_some() && shards > 1,
            at_work: 0,
            latest: vec![(0, 0); shards],
            sessions_peak: 0,
            tuples_peak: 0,
            packets: 0,
            kept: Vec::new(),
        })
    }

    /// Hands a window to everybody, once the one before is done.
    pub(super) fn work(
        &mut self,
        batch: &Arc<Batch>,
        mut writer: Option<&mut Writer>,
    ) -> Result<()> {
        let lag = if self.windows.len() == 1 { 2 } else { 0 };
        while self.at_work > lag {
            self.wait(writer.as_deref_mut())?;
        }
        self.packets += batch
            .items
            .iter()
            .map(|it| u64::from(it.copies.count))
            .sum::<u64>();
        for shard in 0..self.windows.len() {
            // A worker that is gone has panicked; joining it says so.
            if self.windows[shard].send(Arc::clone(batch)).is_err() {
                self.give_up();
            }
            self.at_work += 1;
            if self.in_turns {
                while self.at_work > 0 {
                    self.wait(None)?;
                }
            }
        }
        if self.in_turns {
            self.write(writer)?;
        }
        Ok(())
    }

    /// Waits until nobody works.
    pub(super) fn rest(&mut self, mut writer: Option<&mut Writer>) -> Result<()> {
        while self.at_work > 0 {
            self.wait(writer.as_deref_mut())?;
        }
        Ok(())
    }

    /// Waits for one worker to be done with a window.
    fn wait(&mut self, writer: Option<&mut Writer>) -> Result<()> {
        let Ok((shard, progress)) = self.done.recv() else {
            self.give_up();
        };
        self.at_work -= 1;
        self.latest[shard] = (progress.sessions, progress.tuples);
        self.kept.push(progress.packets);
        let is_complete = self.windows.len() == 1 || self.at_work == 0;
        if is_complete {
            let (sessions, tuples) = self
                .latest
                .iter()
                .fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
            self.sessions_peak = self.sessions_peak.max(sessions);
            self.tuples_peak = self.tuples_peak.max(tuples);
            if !self.in_turns {
                self.write(writer)?;
            }
        }
        Ok(())
    }

    /// Writes what was kept of a window.
    fn write(&mut self, writer: Option<&mut Writer>) -> Result<()> {
        if let Some(writer) = writer {
            Packets::write(&self.kept, writer)?;
        }
        self.kept.clear();
        Ok(())
    }

    /// Ends the traffic and hears what everybody has to say.
    pub(super) fn dismiss(self) -> (Vec<NatStats>, Vec<Ledger<'c>>) {
        drop(self.windows);
        self.threads.into_iter().map(join).unzip()
    }

    /// Passes on the panic of a worker.
    fn give_up(&mut self) -> ! {
        self.windows.clear();
        for thread in self.threads.drain(..) {
            join(thread);
        }
        unreachable!("a worker ends early only by a panic")
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
