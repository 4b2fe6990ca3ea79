//! Whatever goes wrong on the line between here and a registry, at each step of the protocol, in
//! both directions: a transfer completes and everything is as it should be, or it ends with an exit
//! code and a message, nothing is damaged, and the next run completes.

mod line;
mod others;
mod restarted;
mod resumed;
mod together;
mod tokens;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use insta::assert_snapshot;
use ocm_testkit::{Cli, Disturbance, FaultProxy, Registry, Step};

use crate::world::{IMPATIENT, check_product, content, registry, signed};

const FOREVER: usize = usize::MAX;

/// How many requests more than without faults a transfer may make because of one fault.
const ONE_FAULT: usize = 12;

/// How often each request may be made that fails each time, by [`IMPATIENT`].
const ATTEMPTS: usize = 3;

/// Which side of a transfer the registry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    Push,
    Pull,
}

/// A registry behind a proxy, and in an archive and in the registry the signed product and a component
/// version with a blob that is too large for one request.
struct World {
    cli: Cli,
    registry: Registry,
    proxy: FaultProxy,
    direction: Direction,
    /// The files of an undisturbed copy.
    expected: BTreeMap<String, Vec<u8>>,
    /// How many requests that took.
    requests: usize,
    /// How many transfers there were.
    number: usize,
}

impl World {
    fn new(direction: Direction) -> Self {
        let mut cli = signed();
        // What is larger than the rest of the product, which goes in one request each.
        let text = "x".repeat(70_000);
        let constructor = format!(
            "components: [{{name: acme.org/bar/large, version: 1.0.0, provider: {{name: acme}}, resources: \
             [{{name: text, type: blob, input: {{type: utf8, text: {text}}}}}]}}]"
        );
        cli.write("large.yaml", constructor);
        cli.ok("add cv -r shop large.yaml");
        cli.write(".ocmconfig", IMPATIENT);
        let (registry, place) = registry(&mut cli);
        let proxy = FaultProxy::start(registry.host());
        cli.name(proxy.host(), "proxy");
        cli.ok(&format!("transfer ctf shop {place}"));
        let mut world = Self {
            cli,
            registry,
            proxy,
            direction,
            expected: BTreeMap::new(),
            requests: 0,
            number: 0,
        };
        world.measure();
        world.expected = world.arrived();
        check_product(&world.cli, &world.place());
        world
    }

    /// Notes how many requests an undisturbed transfer takes.
    fn measure(&mut self) {
        self.proxy.take_requests();
        let command = self.next();
        self.cli.ok(&command);
        self.requests = self.proxy.take_requests().len();
    }

    /// Returns the next transfer, to a place where nothing is yet.
    fn next(&mut self) -> String {
        self.number += 1;
        let host = self.proxy.host();
        match self.direction {
            Direction::Push => format!("transfer ctf shop http://{host}/p{}", self.number),
            Direction::Pull => format!("transfer ctf http://{host}/shop far{}", self.number),
        }
    }

    /// Returns the place of the last transfer, reached without the proxy.
    fn place(&self) -> String {
        let Self { number, .. } = self;
        match self.direction {
            Direction::Push => format!("http://{}/p{number}", self.registry.host()),
            Direction::Pull => format!("far{number}"),
        }
    }

    /// Returns the files of what has arrived.
    fn arrived(&self) -> BTreeMap<String, Vec<u8>> {
        let directory = match self.direction {
            Direction::Pull => self.place(),
            Direction::Push => {
                let back = format!("back{}", self.number);
                self.cli
                    .ok(&format!("transfer ctf {} {back}", self.place()));
                back
            }
        };
        content(&self.cli, &directory)
    }

    /// Checks that every component version that can be seen at the target is whole.
    fn check_undamaged(&self) {
        for name in ["large", "leaf", "product"] {
            let place = self.place();
            let run = self
                .cli
                .run(&format!("check {place}//acme.org/bar/{name}:1.0.0"));
            assert!(matches!(run.code, Some(0 | 3)), "{run}");
            if run.code == Some(3) {
                let get = format!("get cv {place}//acme.org/bar/{name}:1.0.0");
                assert_eq!(self.cli.run(&get).code, Some(3), "{run}");
            }
        }
    }

    /// Transfers with one disturbance, and returns what came of it.
    fn outcome(&mut self, step: Step, times: usize, disturbance: &Disturbance) -> String {
        let what = format!("{step:?} {disturbance:?}");
        self.proxy.take_requests();
        let before = self.proxy.passed().disturbed;
        self.proxy.disturb(step, times, disturbance.clone());
        let command = self.next();
        let run = self.cli.run(&command);
        self.proxy.heal();
        assert!(self.proxy.passed().disturbed > before, "{what} was not met");
        let requests = self.proxy.take_requests();
        let most = match times {
            FOREVER => self.requests * ATTEMPTS,
            _ => self.requests + ONE_FAULT,
        };
        assert!(requests.len() <= most, "{what}: {requests:#?}");
        let outcome = match run.code {
            Some(0) => "completes".to_owned(),
            Some(code) => format!("exit {code}"),
            None => panic!("{what}: {run}"),
        };
        if run.code != Some(0) {
            // A list is not about one component.
            let names_component = step == Step::List || run.stderr.contains("acme.org/");
            let names_place = run.stderr.contains(self.proxy.host());
            assert!(names_component && names_place, "{run}");
            self.check_undamaged();
            self.cli.ok(&command);
        }
        assert!(
            self.arrived() == self.expected,
            "{what}: other bytes, {run}"
        );
        outcome
    }

    /// Transfers with one disturbance, which does not keep it from completing.
    #[track_caller]
    fn survives(&mut self, step: Step, disturbance: &Disturbance) {
        let outcome = self.outcome(step, 1, disturbance);
        // An answer that comes twice may be taken for the one to the next request, since HTTP/1.1
        // cannot tell them apart. Then nothing is damaged, and the next run completes.
        let may_fail = matches!(disturbance, Disturbance::AnsweredTwice);
        assert!(
            may_fail || outcome == "completes",
            "{step:?} {disturbance:?}: {outcome}"
        );
    }

    /// Returns a line for each disturbance of a step.
    fn table(&mut self, step: Step, times: usize, disturbances: &[Disturbance]) -> String {
        let mut table = String::new();
        for disturbance in disturbances {
            let outcome = self.outcome(step, times, disturbance);
            let _ = writeln!(table, "{step:?}: {disturbance:?}: {outcome}");
        }
        table
    }
}

const PUSHED: [Step; 6] = [
    Step::Lookup,
    Step::BlobHead,
    Step::SinglePost,
    Step::UploadPost,
    Step::UploadPut,
    Step::ManifestPut,
];

const PULLED: [Step; 5] = [
    Step::List,
    Step::ManifestGet,
    Step::BlobGet,
    Step::Referrers,
    Step::Lookup,
];

/// What a line does to single messages, whatever they say.
fn of_the_line() -> Vec<Disturbance> {
    vec![
        Disturbance::CutRequest(0),
        Disturbance::CutRequest(5),
        Disturbance::CutAnswer(0),
        Disturbance::CutAnswer(20),
        Disturbance::HalfAnswer,
        Disturbance::AskedTwice,
        Disturbance::AnsweredTwice,
        Disturbance::status(408),
        Disturbance::with_header(429, "retry-after", "0"),
        Disturbance::status(500),
        Disturbance::status(502),
        Disturbance::with_header(503, "retry-after", "0"),
        Disturbance::status(504),
    ]
}

/// Checks that each fault of the line is survived at each step.
fn check_once(direction: Direction, steps: &[Step]) {
    let mut world = World::new(direction);
    for step in steps {
        for disturbance in of_the_line() {
            world.survives(*step, &disturbance);
        }
    }
}

#[test]
fn a_push_survives_each_fault_of_the_line_at_each_step() {
    check_once(Direction::Push, &PUSHED);
}

#[test]
fn a_pull_survives_each_fault_of_the_line_at_each_step() {
    check_once(Direction::Pull, &PULLED);
}

/// What does not pass: the line is dead, or the registry refuses.
fn for_good() -> Vec<Disturbance> {
    vec![
        Disturbance::CutRequest(0),
        Disturbance::CutAnswer(0),
        Disturbance::HalfAnswer,
        Disturbance::status(401),
        Disturbance::status(403),
        Disturbance::status(404),
        Disturbance::with_header(429, "retry-after", "0"),
        Disturbance::status(503),
        Disturbance::Round,
    ]
}

fn table_for_good(direction: Direction, steps: &[Step]) -> String {
    let mut world = World::new(direction);
    let tables = steps
        .iter()
        .map(|step| world.table(*step, FOREVER, &for_good()));
    tables.collect()
}

#[test]
fn a_push_that_cannot_go_on_says_so() {
    assert_snapshot!(table_for_good(Direction::Push, &PUSHED), @r#"
    Lookup: request cut after 0: exit 7
    Lookup: answer cut after 0: exit 7
    Lookup: half an answer: exit 7
    Lookup: status 401 []: exit 5
    Lookup: status 403 []: exit 5
    Lookup: status 404 []: completes
    Lookup: status 429 [("retry-after", "0")]: exit 7
    Lookup: status 503 []: exit 7
    Lookup: sent around: exit 7
    BlobHead: request cut after 0: exit 7
    BlobHead: answer cut after 0: exit 7
    BlobHead: half an answer: exit 7
    BlobHead: status 401 []: exit 5
    BlobHead: status 403 []: exit 5
    BlobHead: status 404 []: completes
    BlobHead: status 429 [("retry-after", "0")]: exit 7
    BlobHead: status 503 []: exit 7
    BlobHead: sent around: exit 7
    SinglePost: request cut after 0: completes
    SinglePost: answer cut after 0: completes
    SinglePost: half an answer: completes
    SinglePost: status 401 []: completes
    SinglePost: status 403 []: completes
    SinglePost: status 404 []: completes
    SinglePost: status 429 [("retry-after", "0")]: completes
    SinglePost: status 503 []: completes
    SinglePost: sent around: completes
    UploadPost: request cut after 0: exit 7
    UploadPost: answer cut after 0: exit 7
    UploadPost: half an answer: exit 7
    UploadPost: status 401 []: exit 5
    UploadPost: status 403 []: exit 5
    UploadPost: status 404 []: exit 3
    UploadPost: status 429 [("retry-after", "0")]: exit 7
    UploadPost: status 503 []: exit 7
    UploadPost: sent around: exit 7
    UploadPut: request cut after 0: exit 7
    UploadPut: answer cut after 0: completes
    UploadPut: half an answer: completes
    UploadPut: status 401 []: exit 5
    UploadPut: status 403 []: exit 5
    UploadPut: status 404 []: exit 7
    UploadPut: status 429 [("retry-after", "0")]: exit 7
    UploadPut: status 503 []: exit 7
    UploadPut: sent around: exit 7
    ManifestPut: request cut after 0: exit 7
    ManifestPut: answer cut after 0: exit 7
    ManifestPut: half an answer: exit 7
    ManifestPut: status 401 []: exit 5
    ManifestPut: status 403 []: exit 5
    ManifestPut: status 404 []: exit 3
    ManifestPut: status 429 [("retry-after", "0")]: exit 7
    ManifestPut: status 503 []: exit 7
    ManifestPut: sent around: exit 7
    "#);
}

#[test]
fn a_pull_that_cannot_go_on_says_so() {
    assert_snapshot!(table_for_good(Direction::Pull, &PULLED), @r#"
    List: request cut after 0: exit 7
    List: answer cut after 0: exit 7
    List: half an answer: exit 7
    List: status 401 []: exit 1
    List: status 403 []: exit 1
    List: status 404 []: exit 1
    List: status 429 [("retry-after", "0")]: exit 7
    List: status 503 []: exit 7
    List: sent around: exit 7
    ManifestGet: request cut after 0: exit 7
    ManifestGet: answer cut after 0: exit 7
    ManifestGet: half an answer: exit 7
    ManifestGet: status 401 []: exit 5
    ManifestGet: status 403 []: exit 5
    ManifestGet: status 404 []: exit 3
    ManifestGet: status 429 [("retry-after", "0")]: exit 7
    ManifestGet: status 503 []: exit 7
    ManifestGet: sent around: exit 7
    BlobGet: request cut after 0: exit 7
    BlobGet: answer cut after 0: exit 7
    BlobGet: half an answer: exit 7
    BlobGet: status 401 []: exit 5
    BlobGet: status 403 []: exit 5
    BlobGet: status 404 []: exit 4
    BlobGet: status 429 [("retry-after", "0")]: exit 7
    BlobGet: status 503 []: exit 7
    BlobGet: sent around: exit 7
    Referrers: request cut after 0: exit 7
    Referrers: answer cut after 0: exit 7
    Referrers: half an answer: exit 7
    Referrers: status 401 []: exit 5
    Referrers: status 403 []: exit 5
    Referrers: status 404 []: completes
    Referrers: status 429 [("retry-after", "0")]: exit 7
    Referrers: status 503 []: exit 7
    Referrers: sent around: exit 7
    Lookup: request cut after 0: exit 7
    Lookup: answer cut after 0: exit 7
    Lookup: half an answer: exit 7
    Lookup: status 401 []: exit 5
    Lookup: status 403 []: exit 5
    Lookup: status 404 []: completes
    Lookup: status 429 [("retry-after", "0")]: exit 7
    Lookup: status 503 []: exit 7
    Lookup: sent around: exit 7
    "#);
}

#[test]
fn content_that_is_not_what_it_should_be_does_not_arrive() {
    let mut world = World::new(Direction::Pull);
    let mut tables = String::new();
    for step in [Step::ManifestGet, Step::BlobGet] {
        for times in [1, FOREVER] {
            let disturbances = [
                Disturbance::OtherBytes,
                Disturbance::OtherLength(7),
                Disturbance::OtherLength(-7),
            ];
            let _ = writeln!(tables, "{}:", if times == 1 { "once" } else { "always" });
            tables += &world.table(step, times, &disturbances);
        }
    }
    assert_snapshot!(tables, @r"
    once:
    ManifestGet: other bytes: exit 4
    ManifestGet: length off by 7: completes
    ManifestGet: length off by -7: exit 4
    always:
    ManifestGet: other bytes: exit 4
    ManifestGet: length off by 7: exit 7
    ManifestGet: length off by -7: exit 4
    once:
    BlobGet: other bytes: exit 4
    BlobGet: length off by 7: exit 4
    BlobGet: length off by -7: exit 4
    always:
    BlobGet: other bytes: exit 4
    BlobGet: length off by 7: exit 4
    BlobGet: length off by -7: exit 4
    ");
}
