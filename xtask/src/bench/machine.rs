//! On what a run was made.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Describes the machine, as far as the system tells.
pub(crate) fn describe(work: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = read("/proc/cpuinfo").and_then(|text| processor_of(&text));
    let processor = processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = read("/proc/meminfo").and_then(|text| memory_of(&text));
    let memory = memory.unwrap_or_else(|| "unknown".to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.as_deref().map_or("unknown", str::trim);
    let disk = fs::canonicalize(work)
        .ok()
        .and_then(|work| disk_of(&read("/proc/mounts")?, work.to_str()?))
        .unwrap_or_else(|| "unknown".to_owned());
    format!(
        "| | |\n| --- | --- |\n\
         | processor | {processor}, {cores} cores |\n\
         | memory | {memory} |\n\
         | system | {} {kernel} |\n\
         | disk | {disk} |\n",
        std::env::consts::OS
    )
}

/// Returns the date of today, such as `2026-11-21`.
pub(crate) fn date() -> Option<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn processor_of(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, name) = lines.find(|(key, _)| key.trim() == "model name")?;
    Some(name.trim().to_owned())
}

fn memory_of(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(format!("{} GiB", kibibytes / (1024 * 1024)))
}

/// Returns device and file system of the mount that a path is in: the longest that it starts with.
fn disk_of(mounts: &str, path: &str) -> Option<String> {
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let (device, _, kind) = fields
        .filter(|(_, place, _)| Path::new(path).starts_with(place))
        .max_by_key(|(_, place, _)| place.len())?;
    Some(format!("{device}, {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_that_of_the_nearest_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /data xfs rw 0 0\ntmpfs /data/tmp tmpfs rw 0 0";
        let disk = |path| disk_of(mounts, path);
        assert_eq!(disk("/data/x").as_deref(), Some("/dev/b, xfs"));
        assert_eq!(disk("/database").as_deref(), Some("/dev/a, ext4"));
    }

    #[test]
    fn processor_and_memory_are_read() {
        assert_eq!(
            processor_of("processor\t: 0\nmodel name\t: Fast 9000\n").as_deref(),
            Some("Fast 9000")
        );
        let text = "MemTotal:       24657152 kB\nMemFree: 1 kB\n";
        assert_eq!(memory_of(text).as_deref(), Some("23 GiB"));
    }
}
