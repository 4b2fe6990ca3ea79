//! The table that a run ends with.

use std::fmt::Write as _;

use super::process::Cost;

const MIB: f64 = 1024.0 * 1024.0;

/// What jobs may use at most unless they say otherwise, in bytes, whatever the size of a blob.
pub(crate) const MEMORY_BAR: u64 = 64 * 1024 * 1024;

/// How the time of a job is judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bar {
    /// So many seconds.
    Seconds(f64),
    /// So many times what something else needs on the same bytes in the same run.
    Times {
        factor: f64,
        of: &'static str,
        seconds: f64,
    },
    /// Not longer than the quickest of the other tools.
    BestPeer,
    /// Not longer than the quickest of the other registries, in a quarter of the memory that the
    /// smallest of them takes.
    BestRegistry,
    /// None: for comparison.
    None,
}

/// A tool that did the same, or what kept it from it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) cost: Result<Cost, String>,
    /// Whether it does the same work on the same bytes, so that it can be the bar.
    pub(crate) is_bar: bool,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) job: String,
    pub(crate) ours: Cost,
    pub(crate) bar: Bar,
    /// How much memory it may use, in bytes, unless that is measured by others.
    pub(crate) memory_bar: u64,
    pub(crate) peers: Vec<Peer>,
}

impl Row {
    /// Returns the time that ours is compared with, and whose it is.
    fn reference(&self) -> Option<(&'static str, f64)> {
        match &self.bar {
            Bar::Times { of, seconds, .. } => Some((of, *seconds)),
            Bar::BestPeer | Bar::BestRegistry => {
                let times = self.rivals().map(|(name, cost)| (name, cost.wall));
                times.min_by(|one, other| one.1.total_cmp(&other.1))
            }
            Bar::Seconds(_) | Bar::None => None,
        }
    }

    /// Returns the peers that ours has to beat.
    fn rivals(&self) -> impl Iterator<Item = (&'static str, &Cost)> {
        let peers = self.peers.iter().filter(|peer| peer.is_bar);
        peers.filter_map(|peer| Some((peer.name, peer.cost.as_ref().ok()?)))
    }

    /// Returns whether the time is within its bar; `None` where there is none to compare with.
    pub(crate) fn is_quick(&self) -> Option<bool> {
        let limit = match &self.bar {
            Bar::Seconds(seconds) => Some(*seconds),
            Bar::Times {
                factor, seconds, ..
            } => Some(factor * seconds),
            Bar::BestPeer | Bar::BestRegistry => self.reference().map(|(_, seconds)| seconds),
            Bar::None => None,
        };
        limit.map(|limit| self.ours.wall <= limit)
    }

    /// Returns whether memory is within its bar; `None` where it was not measured.
    pub(crate) fn is_small(&self) -> Option<bool> {
        let limit = match self.bar {
            Bar::BestRegistry => self.rivals().filter_map(|(_, cost)| cost.memory).min()? / 4,
            Bar::Seconds(_) | Bar::Times { .. } | Bar::BestPeer | Bar::None => self.memory_bar,
        };
        self.ours.memory.map(|memory| memory <= limit)
    }

    fn bar_text(&self) -> String {
        match &self.bar {
            Bar::Seconds(seconds) => format!("≤ {}", time(*seconds)),
            Bar::Times { factor, of, .. } => format!("≤ {} × {of}", short(*factor)),
            Bar::BestPeer => "≤ best peer".to_owned(),
            Bar::BestRegistry => "≤ best peer, ¼ of the memory".to_owned(),
            Bar::None => "–".to_owned(),
        }
    }
}

/// Writes the table of jobs with their bars.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| job | ours | CPU | memory | compared with | ratio | bar | time | memory |\n\
         | --- | ---: | ---: | ---: | --- | ---: | --- | --- | --- |\n",
    );
    for row in rows {
        let reference = row.reference();
        let compared = reference.map_or_else(
            || "–".to_owned(),
            |(name, seconds)| format!("{name} {}", time(seconds)),
        );
        let ratio = reference.map_or_else(
            || "–".to_owned(),
            |(_, seconds)| format!("{:.2}", row.ours.wall / seconds),
        );
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {compared} | {ratio} | {} | {} | {} |",
            row.job,
            time(row.ours.wall),
            row.ours.cpu.map_or_else(|| "n/a".to_owned(), time),
            memory(row.ours.memory),
            row.bar_text(),
            verdict(row.is_quick()),
            verdict(row.is_small()),
        );
    }
    text
}

/// Writes what the other tools needed for the same.
pub(crate) fn peers(rows: &[Row]) -> String {
    let mut text =
        String::from("| job | tool | time | CPU | memory |\n| --- | --- | ---: | ---: | ---: |\n");
    for row in rows.iter().filter(|row| !row.peers.is_empty()) {
        let ours = Peer {
            name: "ours",
            cost: Ok(row.ours),
            is_bar: false,
        };
        for peer in std::iter::once(&ours).chain(&row.peers) {
            let _ = match &peer.cost {
                Ok(cost) => writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    row.job,
                    peer.name,
                    time(cost.wall),
                    cost.cpu.map_or_else(|| "n/a".to_owned(), time),
                    memory(cost.memory),
                ),
                Err(reason) => writeln!(text, "| {} | {} | {reason} | | |", row.job, peer.name),
            };
        }
    }
    text
}

/// Writes seconds with three digits that mean something.
pub(crate) fn time(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Writes a factor with two digits, less those that say nothing.
fn short(factor: f64) -> String {
    let text = format!("{factor:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of processes are far below 2^52"
)]
pub(crate) fn memory(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "n/a".to_owned(),
        |bytes| format!("{:.0} MiB", bytes as f64 / MIB),
    )
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "–",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(wall: f64, mebibytes: u64) -> Cost {
        Cost {
            wall,
            cpu: None,
            memory: Some(mebibytes * 1024 * 1024),
        }
    }

    fn row(bar: Bar, peers: Vec<Peer>) -> Row {
        Row {
            job: "job".to_owned(),
            ours: cost(1.0, 65),
            bar,
            memory_bar: MEMORY_BAR,
            peers,
        }
    }

    #[test]
    fn a_time_is_judged_by_its_bar() {
        let times = |factor| Bar::Times {
            factor,
            of: "SHA-256",
            seconds: 0.9,
        };
        assert_eq!(row(Bar::Seconds(1.0), vec![]).is_quick(), Some(true));
        assert_eq!(row(times(1.2), vec![]).is_quick(), Some(true));
        assert_eq!(row(times(1.1), vec![]).is_quick(), Some(false));
        assert_eq!(row(Bar::None, vec![]).is_quick(), None);
    }

    #[test]
    fn the_best_peer_that_ran_is_the_bar() {
        let peer = |name, cost, is_bar| Peer { name, cost, is_bar };
        let peers = vec![
            peer("slow", Ok(cost(2.0, 1)), true),
            peer("quick", Ok(cost(1.5, 1)), true),
            peer("other", Ok(cost(0.1, 1)), false),
            peer("broken", Err("fell over".to_owned()), true),
        ];
        let row = row(Bar::BestPeer, peers);
        assert_eq!(row.reference(), Some(("quick", 1.5)));
        assert_eq!(row.is_quick(), Some(true));
        let table = table(std::slice::from_ref(&row));
        assert!(
            table.contains("quick 1.50 s | 0.67 | ≤ best peer | met | **missed**"),
            "{table}"
        );
        assert!(super::peers(&[row]).contains("| job | broken | fell over |"));
    }

    #[test]
    fn a_registry_has_a_quarter_of_the_memory_of_the_others() {
        let peer = |memory| Peer {
            name: "other",
            cost: Ok(cost(2.0, memory)),
            is_bar: true,
        };
        let is_small = |peers| row(Bar::BestRegistry, peers).is_small();
        assert_eq!(is_small(vec![peer(300), peer(260)]), Some(true));
        assert_eq!(is_small(vec![peer(300), peer(256)]), Some(false));
        assert_eq!(is_small(vec![]), None);
        let beside = Peer {
            is_bar: false,
            ..peer(100)
        };
        assert_eq!(is_small(vec![peer(260), beside]), Some(true));
        let row = row(Bar::BestRegistry, vec![peer(300)]);
        assert_eq!(row.is_quick(), Some(true));
    }

    #[test]
    fn without_a_peer_nothing_is_judged() {
        assert_eq!(row(Bar::BestPeer, vec![]).is_quick(), None);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(0.0042), "4.2 ms");
        assert_eq!(time(12.345), "12.35 s");
        for (factor, text) in [
            (1.2, "1.2"),
            (1.0 / 0.9, "1.11"),
            (2.0, "2"),
            (0.05, "0.05"),
        ] {
            assert_eq!(short(factor), text);
        }
    }
}
