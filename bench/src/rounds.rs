//! Rounds of alternating turns: a drift of the machine affects all contestants alike.

use anyhow::{Context, Result};

use crate::{load::Turn, report::progress, statistics::median};

/// Tolerated share of the server's core for other work. The kernel's own work for sockets and disks is most of it.
const OTHERS_MAX: f64 = 0.15;

/// A server and its load, which takes turns with others.
pub(crate) struct Contestant<'a> {
    pub(crate) name: String,
    /// Starts the server, runs its load for a turn, and stops the server.
    pub(crate) turn: Box<dyn FnMut() -> Result<Turn> + 'a>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: impl Into<String>, turn: impl FnMut() -> Result<Turn> + 'a) -> Self {
        Self { name: name.into(), turn: Box::new(turn) }
    }
}

/// Runs a turn of each contestant in every round, and returns the turns by contestant. Each begins about equally often.
pub(crate) fn play(row: &str, rounds: u32, contestants: &mut [Contestant<'_>]) -> Result<Vec<Vec<Turn>>> {
    let mut turns: Vec<Vec<Turn>> = contestants.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds as usize {
        let mut line = format!("{row}, round {} of {rounds}:", round + 1);
        for number in order(round, contestants.len()) {
            let Contestant { name, turn } = &mut contestants[number];
            let turn = turn().with_context(|| format!("{row}: {name} failed"))?;
            line += &format!(
                " {name} {:.0}/s, {:.1} µs of CPU each (load {:.0} %), p50 {:.0} µs;",
                turn.rate,
                turn.server_cpu_us,
                turn.load_busy * 100.0,
                turn.p50_us
            );
            turns[number].push(turn);
        }
        progress(line.trim_end_matches(';'));
    }
    let others = median(&of(&turns.concat(), |turn| turn.others_busy));
    if others > OTHERS_MAX {
        progress(&format!(
            "{row}: other processes used {:.0} % of the server's core; these figures are unreliable",
            others * 100.0
        ));
    }
    Ok(turns)
}

/// Like [`play`] for two contestants: their turns in each round.
pub(crate) fn duel(
    row: &str,
    rounds: u32,
    one: Contestant<'_>,
    other: Contestant<'_>,
) -> Result<Vec<(Turn, Turn)>> {
    let mut turns = play(row, rounds, &mut [one, other])?.into_iter();
    let (ones, others) = (turns.next().unwrap_or_default(), turns.next().unwrap_or_default());
    Ok(ones.into_iter().zip(others).collect())
}

/// Extracts a figure of each round.
pub(crate) fn of<T, F>(rounds: &[T], figure: impl Fn(&T) -> F) -> Vec<F> {
    rounds.iter().map(figure).collect()
}

/// Order of the contestants in a round: another one begins each time.
fn order(round: usize, contestants: usize) -> impl Iterator<Item = usize> {
    (0..contestants).map(move |place| (place + round) % contestants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_contestant_has_a_turn_in_every_round_and_another_begins() {
        let orders: Vec<Vec<usize>> = (0..4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }
}
