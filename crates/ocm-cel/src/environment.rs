//! Compiling and evaluating.

use std::panic::resume_unwind;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue};
use cel::extractors::This;
use cel::parser::Macro;
use cel::{Context, DeclarationError, Env, ExecutionError, Value as CelValue, extensions};
use serde_json::{Map, Value};

use crate::convert::{from_json, to_json};
use crate::error::Error;
use crate::meter::{self, Meter};
use crate::oci;
use crate::sets;

/// How long an expression may be, in bytes.
const LENGTH_LIMIT: usize = 8 << 10;

/// How many signs an expression may have that can put one part of it into another: operators,
/// dots, brackets and commas. The interpreter works by recursion.
const SIGNS_LIMIT: usize = 500;

/// The stack that so many levels fit on, also where the compiler does not optimise.
const STACK: usize = 64 << 20;

/// How large the subject may be as JSON, in bytes.
const SUBJECT_LIMIT: usize = 256 << 10;

/// How many levels of objects fields may have.
const DEPTH_LIMIT: usize = 16;

/// How many expressions fields may have, all together.
const FIELDS_LIMIT: usize = 256;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let environment = environment().expect("declarations that do not contradict each other");
    Arc::new(environment)
});

fn environment() -> Result<Env, DeclarationError> {
    let mut environment = Env::stdlib();
    // As in Go, where the last entry of a map literal wins.
    environment.set_error_on_duplicate_map_keys(false);
    environment.add_extension(extensions::lists)?;
    environment.add_extension(extensions::strings)?;
    environment.add_extension(extensions::math)?;
    environment.add_extension(extensions::encoders)?;
    environment.add_macro(Macro::receiver("bind", 3, |helper, target, arguments| {
        let is_cel =
            matches!(target, Some(IdedExpr { expr: Expr::Ident(name), .. }) if name == "cel");
        if !is_cel {
            return Ok(None);
        }
        let Some(IdedExpr {
            expr: Expr::Ident(name),
            ..
        }) = arguments.first()
        else {
            let id = arguments.first().map_or(0, |argument| argument.id);
            return Err(
                helper.new_error(id, "cel.bind() variable names must be simple identifiers")
            );
        };
        let name = name.clone();
        let (Some(result), Some(value)) = (arguments.pop(), arguments.pop()) else {
            return Ok(None);
        };
        // A loop over nothing, whose accumulator is the variable.
        let iter_range = helper.next_expr(Expr::List(ListExpr::new(Vec::new())));
        let loop_cond = helper.next_expr(Expr::Literal(LiteralValue::Boolean(false.into())));
        let loop_step = helper.next_expr(Expr::Ident(name.clone()));
        let bound = ComprehensionExpr {
            iter_range,
            iter_var: "#unused".to_owned(),
            iter_var2: None,
            accu_var: name,
            accu_init: value,
            loop_cond,
            loop_step,
            result,
        };
        Ok(Some(helper.next_expr(Expr::Comprehension(Box::new(bound)))))
    }))?;
    Ok(environment)
}

/// An expression that has been compiled.
#[derive(Clone, Debug)]
pub struct Expression(IdedExpr);

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`], and [`Error::Limit`] if it is longer than 8 KiB.
    pub fn compile(source: &str) -> Result<Self, Error> {
        if source.len() > LENGTH_LIMIT {
            return Err(Error::Limit(format!(
                "it has {} bytes, of at most {LENGTH_LIMIT}",
                source.len()
            )));
        }
        let signs = signs(source);
        if signs > SIGNS_LIMIT {
            return Err(Error::Limit(format!(
                "it has {signs} operators, dots, brackets and commas, of at most {SIGNS_LIMIT}"
            )));
        }
        on_large_stack(|| {
            let parsed = ENVIRONMENT.parser().parse(source);
            let mut parsed = parsed.map_err(|errors| Error::Parse(errors.to_string()))?;
            meter::instrument(&mut parsed);
            Ok(Self(parsed))
        })
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    ///
    /// [`Error::Evaluation`], [`Error::Limit`], and [`Error::Result`] for what JSON does not have.
    pub fn evaluate(&self, subject: &Subject) -> Result<Value, Error> {
        on_large_stack(|| {
            let meter = Arc::new(Meter::start());
            let context = subject.context(&meter)?;
            let outcome = context.resolve(&self.0);
            if let Some(exceeded) = meter.exceeded() {
                return Err(Error::Limit(exceeded));
            }
            let value = outcome.map_err(|error| Error::Evaluation(error.to_string()))?;
            to_json(&value)
        })
    }
}

fn signs(source: &str) -> usize {
    let is_sign = |byte: &u8| byte.is_ascii_punctuation() && !b"_'\"".contains(byte);
    source.bytes().filter(|byte| is_sign(byte)).count()
}

/// Runs what recurs where it has room for as long as sources may be. A panic goes on here.
fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        let worker = worker.map_err(|error| Error::Limit(format!("no thread: {error}")))?;
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What expressions are about.
#[derive(Clone, Debug)]
pub struct Subject {
    resource: CelValue,
    component: String,
    repository: Value,
}

impl Subject {
    /// A resource as its descriptor has it, of a component in a repository. The repository
    /// specification tells `toOCI` where local blobs can be pulled.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the resource has more than 256 KiB as JSON.
    pub fn new(resource: &Value, component: &str, repository: &Value) -> Result<Self, Error> {
        let size = resource.to_string().len();
        if size > SUBJECT_LIMIT {
            return Err(Error::Limit(format!(
                "the resource has {size} bytes, of at most {SUBJECT_LIMIT}"
            )));
        }
        Ok(Self {
            resource: from_json(resource),
            component: component.to_owned(),
            repository: repository.clone(),
        })
    }

    fn context<'a>(&self, meter: &Arc<Meter>) -> Result<Context<'a, 'a>, Error> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.add_variable_from_value("resource", self.resource.clone());
        let (component, repository) = (self.component.clone(), self.repository.clone());
        let declared = meter
            .declare(&mut context)
            .and_then(|()| sets::declare(&mut context))
            .and_then(|()| {
                context.add_function("toOCI", move |This(value): This<CelValue>| {
                    oci::to_oci(&value, &component, &repository)
                        .map_err(|message| ExecutionError::function_error("toOCI", message))
                })
            });
        declared.map_err(|error| Error::Evaluation(error.to_string()))?;
        Ok(context)
    }
}

/// Evaluates an object whose values are expressions, or objects of such; returns one of the same
/// shape.
///
/// # Errors
///
/// [`Error::Field`] names the field, [`Error::FieldType`] one that is of another type, and
/// [`Error::Limit`] says that there are too many, or too many levels.
pub fn evaluate_fields(
    fields: &Map<String, Value>,
    subject: &Subject,
) -> Result<Map<String, Value>, Error> {
    let mut left = FIELDS_LIMIT;
    evaluate_level(fields, subject, "", DEPTH_LIMIT, &mut left)
}

fn evaluate_level(
    fields: &Map<String, Value>,
    subject: &Subject,
    path: &str,
    depth: usize,
    left: &mut usize,
) -> Result<Map<String, Value>, Error> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Error::Limit(format!(
            "fields have more than {DEPTH_LIMIT} levels"
        )));
    };
    let mut results = Map::new();
    for (name, value) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let result = match value {
            Value::String(source) => {
                *left = left.checked_sub(1).ok_or_else(|| {
                    Error::Limit(format!("there are more than {FIELDS_LIMIT} expressions"))
                })?;
                let result = Expression::compile(source).and_then(|it| it.evaluate(subject));
                result.map_err(|source| Error::Field {
                    name: path,
                    source: Box::new(source),
                })?
            }
            Value::Object(fields) => {
                Value::Object(evaluate_level(fields, subject, &path, depth, left)?)
            }
            _ => return Err(Error::FieldType(path)),
        };
        results.insert(name.clone(), result);
    }
    Ok(results)
}
