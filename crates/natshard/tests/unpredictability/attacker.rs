//! Guesses of the next port, and how often the best of them is right.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;

/// How unpredictable the next port is to the best of the families.
///
/// Each family says the next port in terms of what was before (so many above the last one, say).
/// The attacker learns on the first half of the samples which saying is right most often, guesses
/// that one ever after, and is judged on the second half only, so that what it learnt by chance
/// does not count. The share of right guesses is raised to the upper end of its 99 % confidence
/// interval (as NIST SP 800-90B does), and `bits` is its negative binary logarithm. So the figure
/// errs to the low side: with n guesses judged, a true 2^-b shows as b - 3.7 * 2^(b/2) / sqrt(n)
/// or so. What no family here can express is not measured.
#[derive(Debug)]
pub struct Figure {
    pub bits: f64,
    right: usize,
    judged: usize,
    family: String,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} bits ({} of {} guesses right, by {})",
            self.bits, self.right, self.judged, self.family
        )
    }
}

/// What the next port is said in terms of.
#[derive(Clone, Copy, Debug)]
enum Family {
    /// So many above the port so many before.
    Above(usize),
    /// The difference in bits from the port before.
    Xor,
    /// Where in its block, and which of the open ones that is, by age.
    Place,
    /// The same, by where the one before was in its own.
    PlaceAfterPlace,
    /// So many above the port at the same step of the block before, and in which open block.
    AsInTheBlockBefore,
    /// The so-manieth port from the one before that the block has left, upwards and round.
    LeftAfterLast,
    /// The so-manieth from the bottom that all open blocks together have left.
    LeftFromBottom,
}

/// The blocks that may be open at once.
const OPEN: usize = 64;
/// Lags of the families that look back.
const LAGS: usize = 16;

/// Families that remember one port; then those that remember all.
const SHORT: [Family; 4] = [
    Family::Above(1),
    Family::Xor,
    Family::Place,
    Family::PlaceAfterPlace,
];

fn long() -> impl Iterator<Item = Family> {
    let above = (2..=LAGS).map(Family::Above);
    let rest = [
        Family::AsInTheBlockBefore,
        Family::LeftAfterLast,
        Family::LeftFromBottom,
    ];
    SHORT.into_iter().chain(above).chain(rest)
}

/// A block as the attacker knows it.
#[derive(Clone, Default)]
struct Block {
    /// The ports that can still come.
    left: [u64; 4],
    /// Those that came, in order.
    came: Vec<u8>,
}

impl Block {
    fn count_below(&self, end: usize) -> u32 {
        let whole = self.left[..end / 64].iter().map(|word| word.count_ones());
        let part = match end % 64 {
            0 => 0,
            bits => (self.left[end / 64] & ((1 << bits) - 1)).count_ones(),
        };
        whole.sum::<u32>() + part
    }

    fn has(&self, port: u8) -> bool {
        self.left[port as usize / 64] >> (port % 64) & 1 == 1
    }
}

/// Says what no guess can be: the family has no word for the port.
const UNSAID: u32 = u32::MAX;

/// What a family made of the ports at some steps of their blocks.
#[derive(Default)]
struct Learnt {
    counts: HashMap<(u32, u32), u32>,
    /// By what the family goes by: how often the best guess was right, and what it is.
    guesses: HashMap<u32, (u32, u32)>,
    right: usize,
    judged: usize,
}

impl Learnt {
    fn learn(&mut self, said: (u32, u32)) {
        *self.counts.entry(said).or_default() += 1;
    }

    /// From now on guesses are judged.
    fn settle(&mut self) {
        for ((context, said), count) in self.counts.drain() {
            if said != UNSAID {
                let best = self.guesses.entry(context).or_default();
                *best = (*best).max((count, said));
            }
        }
    }

    fn judge(&mut self, (context, said): (u32, u32)) {
        self.judged += 1;
        let guess = self.guesses.get(&context);
        self.right += usize::from(guess.is_some_and(|&(_, guess)| guess == said));
    }
}

/// It sees ports, learns, and guesses.
pub struct Attacker {
    fresh: bool,
    blocks: HashMap<u32, Block>,
    /// The blocks seen last, each once.
    recent: VecDeque<u32>,
    before: VecDeque<u32>,
    /// The block that came before the newest one, in full.
    earlier: Vec<u8>,
    seen: usize,
    /// How many ports it learns from.
    learns: usize,
    /// Steps of a block, each with what every family makes of them.
    classes: Vec<(Range<usize>, Vec<Learnt>)>,
}

impl Attacker {
    /// Every block can give each of its ports.
    pub fn of_whole_blocks(learns: usize, classes: &[Range<usize>]) -> Self {
        Attacker {
            fresh: true,
            ..Self::of_no_blocks(learns, classes)
        }
    }

    /// Blocks can give what it is told of.
    pub fn of_no_blocks(learns: usize, classes: &[Range<usize>]) -> Self {
        let families = || long().map(|_| Learnt::default()).collect();
        Attacker {
            fresh: false,
            blocks: HashMap::new(),
            recent: VecDeque::new(),
            before: VecDeque::new(),
            earlier: Vec::new(),
            seen: 0,
            learns,
            classes: classes
                .iter()
                .map(|steps| (steps.clone(), families()))
                .collect(),
        }
    }

    /// That port can come.
    pub fn knows_leasable(&mut self, tuple: u32) {
        let block = self.blocks.entry(tuple >> 8).or_default();
        block.left[(tuple as usize & 255) / 64] |= 1 << (tuple % 64);
        block.came.clear();
    }

    /// That port came next.
    pub fn sees(&mut self, tuple: u32) {
        let (number, port) = (tuple >> 8, tuple as u8);
        if !self.blocks.contains_key(&number) {
            let left = if self.fresh { [u64::MAX; 4] } else { [0; 4] };
            let block = Block {
                left,
                ..Block::default()
            };
            self.blocks.insert(number, block);
        }
        if !self.recent.contains(&number) {
            self.recent.push_back(number);
            if self.recent.len() > OPEN {
                self.recent.pop_front();
            }
        }
        let step = self.blocks[&number].came.len();
        let mut classes = std::mem::take(&mut self.classes);
        if classes.iter().any(|(steps, _)| steps.contains(&step)) {
            let said: Vec<_> = long().map(|family| self.say(family, tuple)).collect();
            let hit = classes
                .iter_mut()
                .filter(|(steps, _)| steps.contains(&step));
            for (family, &said) in hit.flat_map(|(_, all)| all.iter_mut().zip(&said)) {
                match self.seen < self.learns {
                    true => family.learn(said),
                    false => family.judge(said),
                }
            }
        }
        self.classes = classes;
        self.seen += 1;
        if self.seen == self.learns {
            let all = self.classes.iter_mut().flat_map(|(_, all)| all);
            all.for_each(Learnt::settle);
        }

        let block = self.blocks.get_mut(&number).unwrap();
        block.left[port as usize / 64] &= !(1 << (port % 64));
        block.came.push(port);
        if block.left == [0; 4] {
            self.earlier = std::mem::take(&mut block.came);
            self.recent.retain(|&one| one != number);
        }
        self.before.push_front(tuple);
        self.before.truncate(LAGS);
    }

    /// The port in terms of a family, and what the family goes by.
    fn say(&self, family: Family, tuple: u32) -> (u32, u32) {
        let (number, port) = (tuple >> 8, tuple as u8);
        let before = |lag: usize| self.before.get(lag - 1).copied();
        let block = &self.blocks[&number];
        let unsaid = (0, UNSAID);
        let newer = self.recent.iter().rev().position(|&one| one == number);
        let which = newer.unwrap_or(OPEN) as u32 * 256;
        match family {
            Family::Above(lag) => before(lag).map_or(unsaid, |then| (0, tuple.wrapping_sub(then))),
            Family::Xor => before(1).map_or(unsaid, |then| (0, tuple ^ then)),
            Family::Place => (0, which + u32::from(port)),
            Family::PlaceAfterPlace => {
                before(1).map_or(unsaid, |then| (then & 255, which + u32::from(port)))
            }
            Family::AsInTheBlockBefore => {
                let then = self.earlier.get(block.came.len());
                let above = |then: &u8| which + u32::from(port.wrapping_sub(*then));
                then.map_or(unsaid, |then| (0, above(then)))
            }
            Family::LeftAfterLast => match before(1) {
                Some(last) if last >> 8 == number && block.has(port) => {
                    let (all, last) = (block.count_below(256), last as u8 as usize);
                    let (here, there) = (block.count_below(port.into()), block.count_below(last));
                    (0, (here + all - there) % all)
                }
                _ => unsaid,
            },
            Family::LeftFromBottom => {
                let mut open: Vec<u32> = self.recent.iter().copied().collect();
                open.sort_unstable();
                let below = open.iter().take_while(|&&one| one < number);
                let below: u32 = below.map(|one| self.blocks[one].count_below(256)).sum();
                (0, below + block.count_below(port.into()))
            }
        }
    }

    /// The best of those that know one port before, for a class of steps.
    pub fn best_without_memory(&self, class: usize) -> Figure {
        self.best_of(SHORT.len(), class)
    }

    /// The best of all.
    pub fn best(&self, class: usize) -> Figure {
        self.best_of(usize::MAX, class)
    }

    fn best_of(&self, families: usize, class: usize) -> Figure {
        let families = long().zip(&self.classes[class].1).take(families);
        families
            .map(|(family, learnt)| figure(learnt.right, learnt.judged, family))
            .min_by(|one, other| one.bits.total_cmp(&other.bits))
            .unwrap()
    }
}

fn figure(right: usize, judged: usize, family: Family) -> Figure {
    assert!(judged > 100, "{judged} guesses judge nothing");
    let share = right as f64 / judged as f64;
    let error = (share * (1.0 - share) / judged as f64).sqrt();
    let raised = (share + 2.576 * error).max(1.0 / judged as f64).min(1.0);
    Figure {
        bits: 0.0 - raised.log2(),
        right,
        judged,
        family: format!("{family:?}"),
    }
}
