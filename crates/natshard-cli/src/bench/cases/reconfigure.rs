//! *reconfigure under load*: the configuration changes all the time while a shard works.

use std::hint::black_box;

use natshard::{Engine, EngineConfig, PoolConfig};

use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::crew;
use crate::bench::own::{self, Own};
use crate::bench::pools::{BURST, EVERY, Rest, plain};
use crate::config::grouped;

const WINDOW: usize = 1_000;
const REST: Rest = Rest::DEFAULT;
const ALONE: &str = "natshard, left alone";

pub fn cases(settings: Settings) -> Vec<Case> {
    let addresses = REST.addresses(1, WINDOW);
    let switches = format!(
        "{addresses} addresses, of which those in use are open; {} live leases; hold-down \
         120 s, random port order, bursts of {BURST}, {EVERY} ms of engine time for {EVERY} of them; each new \
         configuration excludes 16 ports of every address, or takes that back",
        grouped(WINDOW as u128)
    );
    let mut cases = vec![Case {
        name: "reconfigure",
        about: "an operation puts a new configuration in force".into(),
        switches: switches.clone(),
        baseline: "natshard",
        baseline_setting: None,
        build: Box::new(|| {
            let team = own::team(1, WINDOW, pool(false), REST);
            let engine = team[0].engine().clone();
            let changes = Reconfiguring {
                engine,
                on: false,
                company: false,
                _shard: team,
            };
            vec![Contestant::alone("natshard", changes)]
        }),
    }];
    if settings.threads >= 2 {
        cases.push(Case {
            name: "reconfigure under load",
            about: "as own on one thread, while another does nothing but put new configurations \
                    in force, or waits"
                .into(),
            switches,
            baseline: ALONE,
            baseline_setting: None,
            build: Box::new(|| {
                let loaded = own::team(1, WINDOW, pool(false), REST).remove(0);
                let changes = Reconfiguring {
                    engine: loaded.engine().clone(),
                    on: false,
                    company: true,
                    _shard: Vec::new(),
                };
                let alone = own::team(1, WINDOW, pool(false), REST).remove(0);
                vec![
                    Contestant::alone("natshard", loaded).with(changes),
                    Contestant::alone(ALONE, alone).with(Waiting),
                ]
            }),
        });
    }
    cases
}

fn pool(exclude: bool) -> PoolConfig {
    let pool = plain(REST.addresses(1, WINDOW));
    match exclude {
        true => pool.exclude_ports(2000..=2015),
        false => pool,
    }
}

struct Reconfiguring {
    engine: Engine,
    on: bool,
    company: bool,
    _shard: Vec<Own>,
}

impl Worker for Reconfiguring {
    fn run(&mut self, operations: u64) -> u64 {
        for _ in 0..operations {
            self.on = !self.on;
            let config = EngineConfig::new(1)
                .seed(1)
                .hold_down(REST.hold_down)
                .port_order(REST.order)
                .pool(pool(self.on));
            black_box(self.engine.reconfigure(config)).expect("only ports differ");
            if self.company && crew::others_are_done() {
                break;
            }
        }
        0
    }

    fn counts(&self) -> bool {
        !self.company
    }

    fn fixed(&self) -> Option<u64> {
        (!self.company).then_some(4)
    }
}

struct Waiting;

impl Worker for Waiting {
    fn run(&mut self, _: u64) -> u64 {
        while !crew::others_are_done() {
            std::hint::spin_loop();
        }
        0
    }

    fn counts(&self) -> bool {
        false
    }
}
