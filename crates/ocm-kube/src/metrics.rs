//! Numbers about what a process does, in the text format of Prometheus.
//!
//! Values of labels are fixed in the program, so that their number is bounded: no object, no error
//! and no registry can make up a new one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The upper bounds of histograms in seconds.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// All numbers of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

#[derive(Debug)]
struct Family {
    help: &'static str,
    labels: &'static [&'static str],
    kind: Kind,
    /// By the values of the labels.
    series: BTreeMap<Vec<&'static str>, Series>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Default)]
struct Series {
    /// The count of a counter or a histogram.
    count: u64,
    /// The value of a gauge, the sum of a histogram.
    value: f64,
    /// How many observations are within each bound and not within the one before.
    within: [u64; BOUNDS.len()],
}

/// A number that grows.
#[derive(Clone, Debug)]
pub struct Counter(Handle);

/// A number that grows and shrinks.
#[derive(Clone, Debug)]
pub struct Gauge(Handle);

/// How long things take.
#[derive(Clone, Debug)]
pub struct Histogram(Handle);

#[derive(Clone, Debug)]
struct Handle {
    metrics: Metrics,
    name: &'static str,
}

impl Metrics {
    /// Returns a counter, whose name ends with `_total`.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Counter {
        Counter(self.family(name, help, labels, Kind::Counter))
    }

    /// Returns a gauge.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Gauge {
        Gauge(self.family(name, help, labels, Kind::Gauge))
    }

    /// Returns a histogram, whose name ends with `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Histogram {
        Histogram(self.family(name, help, labels, Kind::Histogram))
    }

    /// Prints all numbers in the text format of Prometheus, version 0.0.4.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &*self.lock() {
            family.print(name, &mut text);
        }
        text
    }

    fn family(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        kind: Kind,
    ) -> Handle {
        self.lock().entry(name).or_insert_with(|| Family {
            help,
            labels,
            kind,
            series: BTreeMap::new(),
        });
        Handle {
            metrics: self.clone(),
            name,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    /// Adds to the count for these values of the labels.
    pub fn add(&self, values: &[&'static str], by: u64) {
        self.0.change(values, |series| series.count += by);
    }
}

impl Gauge {
    /// Sets the number for these values of the labels.
    pub fn set(&self, values: &[&'static str], value: f64) {
        self.0.change(values, |series| series.value = value);
    }

    /// Adds to the number for these values of the labels.
    pub fn add(&self, values: &[&'static str], by: f64) {
        self.0.change(values, |series| series.value += by);
    }
}

impl Histogram {
    /// Notes that something took as long, for these values of the labels.
    pub fn observe(&self, values: &[&'static str], took: Duration) {
        let seconds = took.as_secs_f64();
        self.0.change(values, |series| {
            series.count += 1;
            series.value += seconds;
            if let Some(index) = BOUNDS.iter().position(|bound| seconds <= *bound) {
                series.within[index] += 1;
            }
        });
    }
}

impl Handle {
    fn change(&self, values: &[&'static str], change: impl FnOnce(&mut Series)) {
        let mut families = self.metrics.lock();
        if let Some(family) = families.get_mut(self.name) {
            debug_assert_eq!(values.len(), family.labels.len(), "labels of {}", self.name);
            change(family.series.entry(values.to_vec()).or_default());
        }
    }
}

impl Family {
    fn print(&self, name: &str, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a text does not fail.
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", self.help);
        for (values, series) in &self.series {
            let labels = self.labels.iter().zip(values);
            let labels: Vec<_> = labels
                .map(|(label, value)| format!("{label}=\"{value}\""))
                .collect();
            let labels = labels.join(",");
            let braced = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{labels}}}")
            };
            let _ = match self.kind {
                Kind::Counter => writeln!(text, "{name}{braced} {}", series.count),
                Kind::Gauge => writeln!(text, "{name}{braced} {}", series.value),
                Kind::Histogram => {
                    let comma = if labels.is_empty() { "" } else { "," };
                    let mut within = 0;
                    for (bound, more) in BOUNDS.iter().zip(series.within) {
                        within += more;
                        let _ = writeln!(
                            text,
                            "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {within}"
                        );
                    }
                    let Series { count, value, .. } = series;
                    writeln!(
                        text,
                        "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}\n\
                         {name}_sum{braced} {value}\n{name}_count{braced} {count}"
                    )
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        let passes = metrics.counter("passes_total", "Passes.", &["kind", "result"]);
        passes.add(&["Deployer", "ok"], 2);
        metrics
            .counter("passes_total", "Passes.", &["kind", "result"])
            .add(&["Deployer", "ok"], 1);
        let waiting = metrics.gauge("waiting", "Objects that wait.", &[]);
        waiting.set(&[], 2.5);
        waiting.add(&[], -1.0);
        let took = metrics.histogram("pass_seconds", "Time.", &["kind"]);
        took.observe(&["A"], Duration::from_millis(7));
        took.observe(&["A"], Duration::from_mins(2));
        let text = metrics.to_text();
        for line in [
            "# HELP passes_total Passes.",
            "# TYPE passes_total counter",
            "passes_total{kind=\"Deployer\",result=\"ok\"} 3",
            "waiting 1.5",
            "pass_seconds_bucket{kind=\"A\",le=\"0.005\"} 0",
            "pass_seconds_bucket{kind=\"A\",le=\"0.01\"} 1",
            "pass_seconds_bucket{kind=\"A\",le=\"60\"} 1",
            "pass_seconds_bucket{kind=\"A\",le=\"+Inf\"} 2",
            "pass_seconds_sum{kind=\"A\"} 120.007",
            "pass_seconds_count{kind=\"A\"} 2",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
