//! All client operations at the same time, while the broker is killed (`kill -9`) in a loop. Afterwards, each message
//! and every count must match the accounts of the clients.

mod channels;
mod inspection;
mod random;
mod receiver;
mod sender;

use std::{
    iter::Cycle,
    os::unix::process::ExitStatusExt,
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, ensure};
use restante_tests::{
    ledger::account::{Delivery, End, Entry, Event, Expired, Totals, not_in_all, two_ids},
    wait,
};
use tokio::{sync::RwLock, task::JoinSet};

use self::{
    channels::{FRAGILE_DELIVERIES_MAX, Load, Plan},
    random::Random,
    receiver::{Message, Receiver},
    sender::Sender,
};
use crate::{
    api::Api,
    broker::{Broker, DEADLINE, http},
};

const KILLS: u64 = 12;
/// Limit of answers between two kills.
const ANSWERS_BETWEEN_KILLS_MAX: u64 = 600;
/// Small segments, so that a run fills, seals and compacts many; few contents are read from memory.
const FLAGS: [&str; 4] = ["--segment-size", "1MiB", "--hot-body-memory", "16KiB"];
const SENDERS: u32 = 2;
const RECEIVERS: u32 = 2;
/// Channels whose dead letters are redriven under load.
const REDRIVEN: [&str; 5] = ["letters", "batches", "shared-a", "shared-b", "shared-c"];
const SHARED: [&str; 3] = ["shared-a", "shared-b", "shared-c"];
/// Channels in which the test sets the states of all messages at the end.
const WITH_SET_STATES: [&str; 6] = ["letters", "groups", "batches", "shared-a", "shared-b", "shared-c"];
/// Longer than the test.
const LONG_SECONDS: u32 = 600;

struct Test {
    broker: Broker,
    /// The values of `--cores` of the starts, in a cycle.
    cores: Cycle<slice::Iter<'static, u32>>,
    api: Arc<Api>,
    plan: Plan,
    random: Random,
    redrives: Arc<RwLock<()>>,
}

#[tokio::test]
async fn under_a_mixed_load_a_broker_killed_in_a_loop_loses_nothing_and_counts_exactly() -> Result<()> {
    eprintln!("{}", run_mixed_load(&[1]).await?);
    Ok(())
}

#[tokio::test]
async fn a_mixed_load_survives_another_number_of_cores_at_each_start() -> Result<()> {
    eprintln!("{}", run_mixed_load(&[1, 2, 1, 4, 3]).await?);
    Ok(())
}

/// Runs the test, and returns a summary.
async fn run_mixed_load(cores: &'static [u32]) -> Result<String> {
    let seed = getrandom::u64()?;
    let mut test = Test::start(seed, cores).await?;
    let outcome = test.run().await;
    let violations = test.violations();
    let summary = outcome.with_context(|| format!("with seed {seed}; violations so far: {violations:?}"))?;
    ensure!(violations.is_empty(), "with seed {seed}: {violations:?}");
    Ok(summary)
}

impl Test {
    async fn start(seed: u64, cores: &'static [u32]) -> Result<Self> {
        let mut broker = Broker::unprogrammed(&FLAGS)?;
        let mut cores = cores.iter().cycle();
        cores.next().into_iter().for_each(|cores| broker.set_cores(*cores));
        broker.start()?;
        let plan = Plan::new()?;
        wait::until_async("the control port", DEADLINE, || broker.sync(&plan.configs)).await?;
        broker.ready().await?;
        let api = Arc::new(Api::new(http()?, broker.url()));
        Ok(Self { broker, cores, api, plan, random: Random::new(seed), redrives: Arc::default() })
    }

    async fn run(&mut self) -> Result<String> {
        self.load().await?;
        self.check_at_rest().await?;
        let held = self.set_states().await?;
        self.kill().await?;
        self.check_states("after the last kill").await?;
        for (name, message) in &held {
            self.receiver(name).settle(message).await?;
        }
        self.check_states("after settling leases from before the kill").await?;
        self.empty().await?;
        self.kill().await?;
        self.check_states("after all ready messages were received").await?;
        self.summary()
    }

    /// Sends and receives while the broker is killed again and again.
    async fn load(&mut self) -> Result<()> {
        let (sending, receiving) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
        for (place, destination) in (0..).zip(&self.plan.destinations) {
            for number in 1..=SENDERS {
                let sender = Sender::new(&self.api, destination, place * 10 + number, self.random.fork());
                senders.spawn(sender.run(sending.clone()));
            }
        }
        for load in &self.plan.loads {
            for _ in 0..RECEIVERS {
                let receiver = Receiver::new(&self.api, load, &self.redrives, self.random.fork());
                receivers.spawn(receiver.run(receiving.clone()));
            }
        }
        for number in 0..KILLS {
            let enough = self.api.counts().0 + self.random.below(ANSWERS_BETWEEN_KILLS_MAX + 1);
            let answers = wait::until_async("answers", DEADLINE, || async {
                let (answered, _) = self.api.counts();
                if answered >= enough { Ok(()) } else { Err(format!("{answered} of {enough}")) }
            });
            tokio::select! {
                answers = answers => answers?,
                Some(ended) = senders.join_next() => ended?.context("a sender ended")?,
                Some(ended) = receivers.join_next() => ended?.context("a receiver ended")?,
            }
            if number % 3 == 1 {
                for name in REDRIVEN {
                    self.redrive(name).await?;
                }
            }
            let status = self.broker.kill()?;
            ensure!(status.signal() == Some(9), "the broker ended before kill {number}: {status}");
            self.start_again()?;
        }
        self.broker.ready().await?;
        // End the senders first: the receivers make room for senders that still wait.
        for (clients, goes_on) in [(&mut senders, sending), (&mut receivers, receiving)] {
            goes_on.store(false, Relaxed);
            while let Some(client) = clients.join_next().await {
                client??;
            }
        }
        Ok(())
    }

    /// Waits for all leases and delays to end, and checks that each message is in the state that its account expects.
    async fn check_at_rest(&self) -> Result<()> {
        for load in &self.plan.loads {
            wait::until_async("leases and delays to end", DEADLINE, || async {
                let now = inspection::counts(&self.broker, load.name).await?;
                let moving = load.habits.short_lived && now.ready > 0;
                ensure!(now.leased + now.delayed == 0 && !moving, "{}: {now:?}", load.name);
                Ok::<(), anyhow::Error>(())
            })
            .await?;
        }
        for load in self.plan.loads.iter().filter(|load| !load.dead_letters) {
            let mut left = inspection::peek_all(&self.api, load.name).await?;
            ensure!(inspection::counts(&self.broker, load.name).await? == Totals::of(&left), "{}", load.name);
            let moves = load.habits.moves;
            if moves {
                let moved = inspection::peek_all(&self.api, "fragile-dead").await?;
                ensure!(
                    inspection::counts(&self.broker, "fragile-dead").await? == Totals::of(&moved),
                    "fragile-dead"
                );
                left.extend(moved);
            }
            load.account.reconcile(&left);
            let violations = load.account.violations_in(&left, load.expired);
            let history = load.account.history(&violations);
            ensure!(violations.is_empty(), "{}: {violations:?}; {history:?}", load.name);
            let (expected, seen) = (load.account.totals(load.expired), Totals::of(&left));
            let same = if moves { expected.messages() == seen.messages() } else { expected == seen };
            ensure!(same, "{} has {seen:?}, but the account of its clients expects {expected:?}", load.name);
        }
        Ok(())
    }

    /// Brings messages of some channels into every state until the end of the test, and returns the leased ones.
    async fn set_states(&mut self) -> Result<Vec<(&'static str, Message)>> {
        // Make room in every channel.
        self.empty().await?;
        let mut held = Vec::new();
        for name in WITH_SET_STATES {
            let place = self.plan.destinations.iter().position(|to| name.starts_with(to.name));
            let place = place.context("no destination has this channel")?;
            // Without groups: a group would wait for its leased message.
            let sender = Sender::new(&self.api, &self.plan.destinations[place], 1000, self.random.fork());
            if name != SHARED[1] && name != SHARED[2] {
                sender.push_many(8).await?;
            }
            let mut receiver = self.receiver(name);
            let mut next =
                async || receiver.pull("wait=0", LONG_SECONDS).await?.context("there is no message");
            let (leased, delayed) = (next().await?, next().await?);
            let (back, rejected, settled) = (next().await?, next().await?, next().await?);
            receiver.release(&delayed, Some(LONG_SECONDS), true).await?;
            receiver.release(&back, None, false).await?;
            receiver.reject(&rejected).await?;
            receiver.settle(&settled).await?;
            held.push((name, leased));
        }
        self.check_states("before the last kill").await?;
        Ok(held)
    }

    /// Compares the counts of the channels in `WITH_SET_STATES` with their accounts.
    async fn check_states(&self, when: &str) -> Result<()> {
        for load in WITH_SET_STATES.map(|name| self.plan.load(name)) {
            let (expected, counted) =
                (load.account.totals(load.expired), inspection::counts(&self.broker, load.name).await?);
            let name = load.name;
            ensure!(
                expected == counted,
                "{when}: {name} counts {counted:?}, but its account expects {expected:?}"
            );
            let seen = Totals::of(&inspection::peek_all(&self.api, name).await?);
            ensure!(seen == counted, "{when}: {name} counts {counted:?}, but a peek finds {seen:?}");
        }
        Ok(())
    }

    /// Redrives the dead letters, and receives and settles all ready messages.
    async fn empty(&mut self) -> Result<()> {
        for name in WITH_SET_STATES {
            self.redrive(name).await?;
        }
        for load in self.plan.loads.clone() {
            let mut receiver = self.receiver(load.name);
            while inspection::counts(&self.broker, load.name).await?.ready > 0 {
                let Some(message) = receiver.pull("wait=1", LONG_SECONDS).await? else { break };
                receiver.settle(&message).await?;
            }
        }
        Ok(())
    }

    /// Redrives every dead letter of a channel.
    async fn redrive(&self, name: &str) -> Result<()> {
        let _no_rejections = self.redrives.write().await;
        let config = self.plan.configs.iter().find(|config| config.name == name);
        let uid = config.context("the plan lacks the channel")?.uid;
        self.plan.load(name).account.redriving();
        let path = format!("channels/{uid}/redrive");
        let request = || self.broker.control(&path, String::new());
        let answer = self.api.until_answered(request).await?;
        ensure!(answer.status == 200, "a redrive was answered {}", answer.text());
        let left = answer.json::<restante_wire::control::Redriven>()?.left;
        ensure!(left == 0, "{left} dead letters of {name} are left");
        Ok(())
    }

    /// Kills and restarts the broker while no request is in flight.
    async fn kill(&mut self) -> Result<()> {
        self.broker.kill()?;
        self.start_again()?;
        self.broker.ready().await
    }

    fn start_again(&mut self) -> Result<()> {
        self.cores.next().into_iter().for_each(|cores| self.broker.set_cores(*cores));
        self.broker.start()
    }

    fn receiver(&self, name: &str) -> Receiver {
        Receiver::new(&self.api, self.plan.load(name), &self.redrives, self.random.clone())
    }

    /// The violations of all accounts, by channel.
    fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        for load in self.plan.loads.iter().filter(|load| !load.dead_letters) {
            let mut found = load.account.violations();
            if load.habits.moves {
                found.extend(load.account.too_many_deliveries(FRAGILE_DELIVERIES_MAX));
            }
            violations.extend(found.iter().map(|wrong| format!("{}: {wrong}", load.name)));
            if !found.is_empty() {
                violations.push(format!("{:?}", load.account.history(&found)));
            }
        }
        let shared = SHARED.map(|name| self.plan.load(name).account.to_vec());
        let shared: Vec<&[Entry]> = shared.iter().map(Vec::as_slice).collect();
        let over_all = two_ids(&shared).into_iter().chain(not_in_all(&shared));
        violations.extend(over_all.map(|wrong| format!("shared: {wrong}")));
        violations
    }

    /// Checks that every kind of operation happened, so that the test means something, and returns a summary.
    fn summary(&self) -> Result<String> {
        let mut summary = Vec::new();
        let (answered, cut) = self.api.counts();
        let count = |name: &str, which: fn(&Event) -> bool| self.plan.load(name).account.count(which);
        let stored = |event: &Event| matches!(event, Event::Stored(_));
        let settled = |event: &Event| matches!(event, Event::Ended(End::Settle));
        for Load { name, account, .. } in &self.plan.loads {
            let counts = (account.count(stored), account.count(settled));
            summary.push(format!("{name}: {} stored, {} settled", counts.0, counts.1));
            ensure!(counts.0 > 20 && (counts.1 > 5 || *name == "short-dead"), "{name}: {counts:?}");
        }
        let again = |event: &Event| matches!(event, Event::Delivered(Delivery { deliveries: 2.., .. }));
        let moved = |event: &Event| matches!(event, Event::Delivered(Delivery { moved: true, .. }));
        let happened = [
            count("letters", again),
            count("letters", |event| matches!(event, Event::Redriving)),
            count("letters", |event| matches!(event, Event::Renewed { .. })),
            count("letters", |event| matches!(event, Event::Released { .. })),
            count("batches", |event| matches!(event, Event::Renewed { .. })),
            count("fragile", moved),
        ];
        summary.push(format!("{answered} answers, {cut} requests cut off; {happened:?}"));
        ensure!(cut > KILLS && happened.iter().all(|count| *count > 0), "{cut} cut off, {happened:?}");
        let expired = self.plan.load("short-dead").account.totals(Expired::DeadLetter).dead;
        ensure!(expired > 0, "nothing expired");
        Ok(summary.join("\n"))
    }
}
