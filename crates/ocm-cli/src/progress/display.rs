//! What is shown of work, and when. Time and the width of the terminal are handed in.
//!
//! ```text
//! transferring  ██████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  48 %
//! 12 of 40 objects, 1.6 of 3.4 GiB, 118 MiB/s, 3 skipped, 16 s left
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::work::Work;
use crate::output::UNITS;

/// How often a line is written where nothing can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What is done sooner needs no drawing.
const DRAWN_FROM: Duration = Duration::from_millis(300);

/// Over which time the speed is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// What is shown, depending on where it is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Medium {
    /// A terminal: a bar that is drawn over and over.
    Terminal,
    /// A file, or the log of a CI job: now and then a line.
    Lines,
}

/// Shows work.
#[derive(Debug)]
pub(crate) struct Display {
    what: &'static str,
    medium: Medium,
    pace: Pace,
    next_line: Duration,
    /// The highest percentage that was drawn: where the total grows, the bar waits.
    percent: u64,
    is_drawn: bool,
}

impl Display {
    pub(crate) const fn new(what: &'static str, medium: Medium) -> Self {
        Self {
            what,
            medium,
            pace: Pace(VecDeque::new()),
            next_line: LINE_EVERY,
            percent: 0,
            is_drawn: false,
        }
    }

    /// Returns how often there may be something new.
    pub(crate) const fn period(&self) -> Duration {
        match self.medium {
            Medium::Terminal => Duration::from_millis(100),
            Medium::Lines => Duration::from_secs(1),
        }
    }

    /// Returns what is to be written, after so much time.
    pub(crate) fn tick(&mut self, elapsed: Duration, width: usize, work: &Work) -> Option<String> {
        self.pace.note(elapsed, work.bytes_read());
        match self.medium {
            Medium::Terminal if elapsed < DRAWN_FROM => None,
            Medium::Terminal => {
                self.percent = self.percent.max(work.percent());
                self.is_drawn = true;
                Some(self.picture(width, work))
            }
            Medium::Lines if elapsed < self.next_line => None,
            Medium::Lines => {
                while self.next_line <= elapsed {
                    self.next_line += LINE_EVERY;
                }
                Some(self.parts(work).join(", ") + "\n")
            }
        }
    }

    /// Returns what is to be written so that nothing of a drawing is left.
    pub(crate) fn end(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.is_drawn).then_some(CLEAR)
    }

    /// Draws over what stands there, and goes back to where it started.
    fn picture(&self, width: usize, work: &Work) -> String {
        let bar = bar(self.what, self.percent, width);
        let mut parts = self.parts(work);
        parts.extend(self.left(work));
        let details = fitting(&parts, width);
        format!("\r{bar}\x1b[K\n{details}\x1b[K\x1b[1A\r")
    }

    /// Says how far the work is.
    fn parts(&self, work: &Work) -> Vec<String> {
        let (done, objects) = work.objects();
        let mut parts = vec![format!("{done} of {objects} objects")];
        let (position, size) = work.bytes();
        if size > 0 {
            parts.push(amounts(position, size, work.is_sized()));
        }
        if let Some(speed) = self.pace.speed() {
            parts.push(format!("{}/s", amount(speed)));
        }
        if work.skipped() > 0 {
            parts.push(format!("{} skipped", work.skipped()));
        }
        parts
    }

    /// Says how long it is going to take at this speed.
    fn left(&self, work: &Work) -> Option<String> {
        let speed = self.pace.speed().filter(|speed| *speed > 0)?;
        let (position, size) = work.bytes();
        let left = (size - position) / speed;
        (work.is_sized() && left > 0).then(|| match left {
            0..60 => format!("{left} s left"),
            60..3600 => format!("{} min left", left.div_ceil(60)),
            _ => format!("{} h {} min left", left / 3600, left % 3600 / 60),
        })
    }
}

/// Removes what is drawn, from the start of its first line.
pub(crate) const CLEAR: &str = "\r\x1b[J";

/// How fast bytes are read of late.
#[derive(Debug)]
struct Pace(VecDeque<(Duration, u64)>);

impl Pace {
    fn note(&mut self, elapsed: Duration, read: u64) {
        self.0.push_back((elapsed, read));
        // One stays that is older, so that the window is always full.
        while self.0.len() > 2 && self.0[1].0 + WINDOW <= elapsed {
            self.0.pop_front();
        }
    }

    /// Returns bytes per second, once there is something to measure.
    fn speed(&self) -> Option<u64> {
        let (start, before) = self.0.front()?;
        let (end, after) = self.0.back()?;
        let milliseconds = end.checked_sub(*start)?.as_millis();
        if milliseconds < 500 || *after == 0 {
            return None;
        }
        u64::try_from(u128::from(after - before) * 1000 / milliseconds).ok()
    }
}

/// Draws a line of which the last column stays free, since some terminals wrap there.
fn bar(what: &str, percent: u64, width: usize) -> String {
    let number = format!("{percent:>3} %");
    let rest = width.saturating_sub(what.len() + 2 + 1 + number.len() + 1);
    if rest < 10 {
        return fitting(&[format!("{what} {}", number.trim_start())], width);
    }
    let filled = usize::try_from(percent.min(100)).unwrap_or(100) * rest / 100;
    format!(
        "{what}  {}{} {number}",
        "█".repeat(filled),
        "░".repeat(rest - filled)
    )
}

/// Joins as many parts as there is room for.
fn fitting(parts: &[String], width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let comma = if line.is_empty() { "" } else { ", " };
        if line.len() + comma.len() + part.len() >= width {
            break;
        }
        line.push_str(comma);
        line.push_str(part);
    }
    line
}

/// Shows two amounts in one unit, such as `1.2 of 3.4 GiB`, or `1.2 of 3.4+ GiB` if there is more.
fn amounts(part: u64, whole: u64, is_all: bool) -> String {
    let unit = unit_of(whole);
    let more = if is_all { "" } else { "+" };
    let (part, whole) = (in_unit(part, unit), in_unit(whole, unit));
    format!("{part} of {whole}{more} {}", UNITS[unit])
}

/// Shows an amount in few digits, such as `118 MiB` or `1.2 GiB`.
fn amount(bytes: u64) -> String {
    let unit = unit_of(bytes);
    let value = in_unit(bytes, unit);
    match value.split_once('.') {
        Some((whole, _)) if whole.len() > 1 => format!("{whole} {}", UNITS[unit]),
        _ => format!("{value} {}", UNITS[unit]),
    }
}

/// Returns which unit an amount is shown in.
fn unit_of(bytes: u64) -> usize {
    (1..UNITS.len())
        .rev()
        .find(|unit| bytes >= 1 << (10 * unit))
        .unwrap_or(0)
}

/// Cuts an amount to one decimal of a unit: what is shown is never more than there is.
fn in_unit(bytes: u64, unit: usize) -> String {
    if unit == 0 {
        return bytes.to_string();
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use insta::assert_snapshot;
    use ocm::oci::{Moved, Outcome};

    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Forty objects of 87 MiB, three of which are there already.
    fn work() -> Work {
        let mut work = Work::default();
        work.plan(std::iter::repeat_n(Some(87 * MIB), 40));
        for _ in 0..3 {
            work.finish(&Moved {
                planned: Some(87 * MIB),
                read: 0,
                outcome: Outcome::Existed,
            });
        }
        work
    }

    /// Reads 118 MiB a second, and an object is done whenever its bytes are.
    fn advance(work: &mut Work, seconds: u64) {
        let read = (118 * MIB * seconds).min(37 * 87 * MIB);
        work.read(read);
        while work.objects().0 - 3 < read / (87 * MIB) {
            work.finish(&Moved {
                planned: Some(87 * MIB),
                read: 87 * MIB,
                outcome: Outcome::Copied,
            });
        }
    }

    /// What stays of a drawing once the terminal has followed its commands.
    fn shown(text: &str) -> String {
        text.replace("\x1b[K", "")
            .replace("\x1b[1A\r", "")
            .replace('\r', "")
    }

    fn drawn(display: &mut Display, elapsed: Duration, width: usize, work: &Work) -> String {
        shown(&display.tick(elapsed, width, work).unwrap())
    }

    #[test]
    fn a_drawing_fills_eighty_columns() {
        let (mut display, mut work) = (Display::new("transferring", Medium::Terminal), work());
        assert_snapshot!(drawn(&mut display, at(1), 80, &work), @r"
    transferring  ████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   7 %
    3 of 40 objects, 0.2 of 3.3 GiB, 3 skipped
    ");
        for second in 2..=12 {
            advance(&mut work, second - 1);
            drawn(&mut display, at(second), 80, &work);
        }
        assert_snapshot!(drawn(&mut display, at(12), 80, &work), @r"
    transferring  █████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  44 %
    17 of 40 objects, 1.5 of 3.3 GiB, 118 MiB/s, 3 skipped, 16 s left
    ");
        advance(&mut work, 60);
        assert_snapshot!(drawn(&mut display, at(61), 80, &work), @r"
    transferring  ███████████████████████████████████████████████████████████ 100 %
    40 of 40 objects, 3.3 of 3.3 GiB, 39 MiB/s, 3 skipped
    ");
    }

    #[test]
    fn a_drawing_fits_every_width() {
        let (mut display, mut work) = (Display::new("transferring", Medium::Terminal), work());
        display.tick(at(1), 80, &work);
        advance(&mut work, 10);
        assert_snapshot!(drawn(&mut display, at(11), 50, &work), @r"
    transferring  ███████████░░░░░░░░░░░░░░░░░░  41 %
    16 of 40 objects, 1.4 of 3.3 GiB, 118 MiB/s
    ");
        assert_snapshot!(drawn(&mut display, at(11), 20, &work), @r"
    transferring 41 %
    16 of 40 objects
    ");
        for width in 0..200 {
            for line in drawn(&mut display, at(11), width, &work).lines() {
                assert!(line.chars().count() < width.max(1), "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_bar_never_goes_back() {
        let mut display = Display::new("packing", Medium::Terminal);
        let mut work = Work::default();
        work.plan([None, None]);
        work.finish(&Moved {
            planned: None,
            read: 0,
            outcome: Outcome::Copied,
        });
        assert!(drawn(&mut display, at(1), 40, &work).contains(" 50 %"));
        work.plan([None, None]);
        assert!(drawn(&mut display, at(2), 40, &work).contains(" 50 %"));
    }

    #[test]
    fn nothing_is_drawn_of_what_is_done_at_once() {
        let mut display = Display::new("packing", Medium::Terminal);
        assert_eq!(display.tick(Duration::from_millis(100), 80, &work()), None);
        assert_eq!(display.end(), None);
        assert!(
            display
                .tick(Duration::from_millis(400), 80, &work())
                .is_some()
        );
        assert_eq!(display.end(), Some(CLEAR));
        assert_eq!(display.end(), None);
    }

    #[test]
    fn elsewhere_there_is_a_line_every_ten_seconds() {
        let (mut display, mut work) = (Display::new("transferring", Medium::Lines), work());
        let mut lines = String::new();
        for second in 0..=35 {
            advance(&mut work, second);
            if let Some(line) = display.tick(at(second), 80, &work) {
                write!(lines, "{second:>2} s: {line}").unwrap();
            }
        }
        assert_snapshot!(lines, @r"
    10 s: 16 of 40 objects, 1.4 of 3.3 GiB, 118 MiB/s, 3 skipped
    20 s: 30 of 40 objects, 2.5 of 3.3 GiB, 118 MiB/s, 3 skipped
    30 s: 40 of 40 objects, 3.3 of 3.3 GiB, 85 MiB/s, 3 skipped
    ");
        assert_eq!(display.end(), None);
    }

    #[test]
    fn a_line_that_was_late_is_not_made_up_for() {
        let mut display = Display::new("transferring", Medium::Lines);
        assert!(display.tick(at(9), 80, &work()).is_none());
        assert!(display.tick(at(45), 80, &work()).is_some());
        assert!(display.tick(at(49), 80, &work()).is_none());
        assert!(display.tick(at(50), 80, &work()).is_some());
    }

    #[test]
    fn the_speed_is_that_of_the_last_ten_seconds() {
        let mut pace = Pace(VecDeque::new());
        assert_eq!(pace.speed(), None);
        for second in 0..=20 {
            pace.note(at(second), second.min(10) * MIB);
        }
        assert_eq!(pace.speed(), Some(0));
        for second in 21..=60 {
            pace.note(at(second), 10 * MIB + (second - 20) * 5 * MIB);
        }
        assert_eq!(pace.speed(), Some(5 * MIB));
    }

    #[test]
    fn amounts_are_in_the_unit_of_the_whole() {
        assert_eq!(amounts(0, 3 * GIB, true), "0.0 of 3.0 GiB");
        assert_eq!(amounts(12, 500, true), "12 of 500 B");
        assert_eq!(amounts(MIB, 2 * MIB - 1, false), "1.0 of 1.9+ MiB");
        assert_eq!(amount(118 * MIB + MIB / 2), "118 MiB");
        assert_eq!(amount(1_300), "1.2 KiB");
        assert_eq!(amount(u64::MAX), "16777215 TiB");
    }
}
