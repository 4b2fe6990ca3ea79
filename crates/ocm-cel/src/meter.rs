//! Limits of an evaluation.
//!
//! The interpreter has none. So each call of an expression is wrapped in a call of [`METERED`],
//! which sees its result: it counts, and looks at sizes and at the clock. Loops are covered since
//! their conditions, or else the elements that they make, are wrapped, too. What a call is given
//! is small, since it is the result of another call, or part of the subject or of the expression,
//! which have limits of their own and are looked at where they are handed to functions. Variables
//! that are written into lists and maps are looked at each time: a list of a list of a list that
//! has each one ten times takes little memory, until somebody walks through it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::objects::{Key, OptionalValue};
use cel::{Context, DeclarationError, ExecutionError, Value};

/// Cannot be written in CEL, so expressions cannot name it.
const METERED: &str = "@metered";

/// What an evaluation may cost: a call is 1, and as much as what it makes: 1 for each element at any
/// depth, and for each [`TEXT_UNIT`] of text.
const BUDGET: u64 = 100_000;

/// How many bytes of text cost as much as an element.
const TEXT_UNIT: u64 = 32;

/// What a regular expression costs more than another call, as it is compiled.
const PATTERN: u64 = 500;

/// How long a text on the way may be, in bytes.
const TEXT_LIMIT: usize = 8 << 10;

/// How many elements a list or map on the way may have.
const ELEMENTS_LIMIT: usize = 1000;

/// How long an evaluation may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the names of functions begin with that are qualified: not variables, though they look so.
const NAMESPACES: &[&str] = &["base64", "lists", "math", "optional", "sets", "strings"];

/// What one evaluation has cost so far.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    spent: AtomicU64,
    exceeded: Mutex<Option<String>>,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            spent: AtomicU64::new(0),
            exceeded: Mutex::new(None),
        }
    }

    /// Returns the limit that was exceeded. Once one is, every further step fails, as the
    /// interpreter may go on after an error: `all` and `exists` do.
    pub(crate) fn exceeded(&self) -> Option<String> {
        let exceeded = self.exceeded.lock().unwrap_or_else(PoisonError::into_inner);
        exceeded.clone()
    }

    pub(crate) fn declare(
        self: &Arc<Self>,
        context: &mut Context<'_, '_>,
    ) -> Result<(), DeclarationError> {
        let meter = Arc::clone(self);
        context.add_function(METERED, move |value: Value, weight: i64| {
            let weight = u64::try_from(weight).unwrap_or(1);
            match meter.count(&value, weight) {
                Ok(()) => Ok(value),
                Err(message) => Err(ExecutionError::function_error("limit", message)),
            }
        })
    }

    fn count(&self, value: &Value, weight: u64) -> Result<(), String> {
        let mut exceeded = self.exceeded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exceeded) = &*exceeded {
            return Err(exceeded.clone());
        }
        let (size, limit, unit) = match value {
            Value::String(text) => (text.len(), TEXT_LIMIT, "bytes of text"),
            Value::Bytes(bytes) => (bytes.len(), TEXT_LIMIT, "bytes"),
            Value::List(items) => (items.len(), ELEMENTS_LIMIT, "elements"),
            Value::Map(map) => (map.map.len(), ELEMENTS_LIMIT, "entries"),
            _ => (0, 0, ""),
        };
        let left = BUDGET.saturating_sub(self.spent.load(Ordering::Relaxed));
        let cost = weight.saturating_add(cost_of(value, left));
        let spent = self
            .spent
            .fetch_add(cost, Ordering::Relaxed)
            .saturating_add(cost);
        let message = if size > limit {
            format!("a value on the way has {size} {unit}, of at most {limit}")
        } else if spent > BUDGET {
            format!("it takes more than {BUDGET} steps")
        } else if self.started.elapsed() > PATIENCE {
            format!("it takes longer than {PATIENCE:?}")
        } else {
            return Ok(());
        };
        *exceeded = Some(message.clone());
        Err(message)
    }
}

/// Returns what a value costs with all that is in it, until that is more than a number. What is in
/// it several times is there once in memory, but whoever walks through it finds it each time.
fn cost_of(value: &Value, most: u64) -> u64 {
    let text = |length: usize| length as u64 / TEXT_UNIT;
    let mut cost: u64 = 0;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        cost = cost.saturating_add(match value {
            Value::String(it) => text(it.len()),
            Value::Bytes(it) => text(it.len()),
            Value::List(items) => items.len() as u64,
            Value::Map(map) => {
                let keys = map.map.keys().map(|key| match key {
                    Key::String(key) => text(key.len()),
                    _ => 0,
                });
                map.map.len() as u64 + keys.sum::<u64>()
            }
            _ => 0,
        });
        if cost > most {
            break;
        }
        match value {
            Value::List(items) => open.extend(items.iter()),
            Value::Map(map) => open.extend(map.map.values()),
            Value::Opaque(opaque) => {
                let optional = opaque.downcast_ref::<OptionalValue>();
                open.extend(optional.and_then(OptionalValue::value));
            }
            _ => {}
        }
    }
    cost
}

/// Wraps what costs something.
pub(crate) fn instrument(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            let weight = if call.func_name == "matches" {
                PATTERN
            } else {
                1
            };
            // A type is no value that a function can be handed.
            let is_bare = is_lazy(&call.func_name) || call.func_name == "type";
            instrument_call(call);
            if !is_bare {
                wrap(expression, weight);
            }
        }
        Expr::Comprehension(comprehension) => instrument_loop(comprehension),
        Expr::List(list) => {
            list.elements.iter_mut().for_each(instrument_part);
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                instrument_entry(&mut entry.expr);
            }
        }
        Expr::Struct(structure) => {
            for entry in &mut structure.entries {
                instrument_entry(&mut entry.expr);
            }
        }
        Expr::Select(select) => instrument(&mut select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// Wraps in what becomes part of a list or map, and it itself unless it is written there: whatever
/// it leads to is there once more.
fn instrument_part(expression: &mut IdedExpr) {
    let is_written = matches!(
        expression.expr,
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_)
    );
    instrument(expression);
    if !is_written {
        wrap(expression, 1);
    }
}

fn instrument_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => instrument(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            instrument(&mut entry.key);
            instrument_part(&mut entry.value);
        }
    }
}

/// Operators whose arguments may fail, or are not looked at: what is in them is wrapped.
fn is_lazy(function: &str) -> bool {
    [
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::CONDITIONAL,
        operators::NOT_STRICTLY_FALSE,
    ]
    .contains(&function)
}

/// Wraps in a call, and what it is given from the subject.
fn instrument_call(call: &mut CallExpr) {
    let is_operator = !call
        .func_name
        .starts_with(|first: char| first.is_ascii_alphabetic());
    let target = call.target.as_deref_mut();
    for argument in target.into_iter().chain(&mut call.args) {
        instrument(argument);
        // Operators do not make more than they are given, and are how one gets at a part.
        if !is_operator && is_of_subject(argument) {
            wrap(argument, 1);
        }
    }
}

/// Tells whether an expression is a variable, or part of one.
fn is_of_subject(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Ident(name) => !NAMESPACES.contains(&name.as_str()),
        Expr::Select(select) => !select.test,
        _ => false,
    }
}

/// Wraps in a loop. Its shape stays: the interpreter knows those of `map` and `filter`, and those
/// of `all` and `exists`, by their steps.
fn instrument_loop(comprehension: &mut ComprehensionExpr) {
    instrument(&mut comprehension.iter_range);
    instrument(&mut comprehension.accu_init);
    instrument(&mut comprehension.result);
    let makes_a_list = matches!(comprehension.loop_cond.expr, Expr::Literal(_))
        && instrument_element(&mut comprehension.loop_step, &comprehension.accu_var);
    if makes_a_list {
        return;
    }
    instrument(&mut comprehension.loop_cond);
    wrap(&mut comprehension.loop_cond, 1);
    match &mut comprehension.loop_step.expr {
        Expr::Call(call) => instrument_call(call),
        _ => instrument(&mut comprehension.loop_step),
    }
}

/// Wraps the element that a step appends, and its guard; tells whether the step is of that sort.
fn instrument_element(step: &mut IdedExpr, accumulator: &str) -> bool {
    let Expr::Call(call) = &mut step.expr else {
        return false;
    };
    let is_accumulator =
        |it: &IdedExpr| matches!(&it.expr, Expr::Ident(name) if name == accumulator);
    match (call.func_name.as_str(), call.args.as_mut_slice()) {
        (operators::ADD, [left, right]) if is_accumulator(left) => {
            let Expr::List(list) = &mut right.expr else {
                return false;
            };
            for element in &mut list.elements {
                instrument(element);
                wrap(element, 1);
            }
            true
        }
        (operators::CONDITIONAL, [guard, step, otherwise]) if is_accumulator(otherwise) => {
            if !instrument_element(step, accumulator) {
                return false;
            }
            instrument(guard);
            wrap(guard, 1);
            true
        }
        _ => false,
    }
}

fn wrap(expression: &mut IdedExpr, weight: u64) {
    let id = expression.id;
    let inner = std::mem::take(expression);
    let weight = i64::try_from(weight).unwrap_or(i64::MAX);
    let weight = IdedExpr {
        id,
        expr: Expr::Literal(cel::common::ast::LiteralValue::Int(weight.into())),
    };
    *expression = IdedExpr {
        id,
        expr: Expr::Call(CallExpr {
            func_name: METERED.to_owned(),
            target: None,
            args: vec![inner, weight],
        }),
    };
}
