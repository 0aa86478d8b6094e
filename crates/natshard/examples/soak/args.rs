//! What it is told.

pub const USAGE: &str = "usage: soak [--seconds N] [--seed S] [--shards N] [--panics]

  --seconds N  how long (60)
  --seed S     the draws of the first round; each further one adds 1 (from the clock)
  --shards N   in every round, instead of 2 and more than there are cores by turns
  --panics     panic in windows between two steps of the protocol too";

pub struct Args {
    pub seconds: u64,
    pub seed: u64,
    pub shards: Option<usize>,
    pub panics: bool,
}

impl Args {
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let mut args = Args {
            seconds: 60,
            seed: since.map_or(1, |since| since.as_secs()),
            shards: None,
            panics: false,
        };
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().ok_or(format!("{word} wants a number"))?;
                value
                    .parse::<u64>()
                    .map_err(|error| format!("{word} {value}: {error}"))
            };
            match word.as_str() {
                "--seconds" => args.seconds = number()?,
                "--seed" => args.seed = number()?,
                "--shards" => match number()? {
                    shards @ 1..=32 => args.shards = Some(shards as usize),
                    other => return Err(format!("--shards {other}: 1 to 32")),
                },
                "--panics" => args.panics = true,
                other => return Err(format!("what is {other}?")),
            }
        }
        Ok(args)
    }
}
