//! What constructor files look like, as a table, of which their JSON schema is made.
//!
//! Files are read by the parser, whose messages know more; a test holds that both accept the same.
//! The parser takes `null` for the absence of a field, too, and knows what no table can say: that
//! identities and names are unique, and that there is a component at all.

use ocm_model::schema::{Either, Field, Object, Rule, Shape};

pub(super) const CONSTRUCTOR: Either = Either {
    about: "Component constructor: a list of components, or a single one",
    key: "components",
    with: &COMPONENTS,
    without: &COMPONENT,
};

const COMPONENTS: Object = Object::closed(
    "components",
    "Several components",
    &[Field::required(
        "components",
        Shape::List(&Shape::Object(&COMPONENT)),
    )],
);

const COMPONENT: Object = Object::closed(
    "component",
    "A component version that is to be made",
    &[
        Field::required("name", Shape::Text(Rule::ComponentName)),
        Field::required("version", Shape::Text(Rule::Version)),
        Field::required("provider", Shape::ObjectOrText(&PROVIDER)),
        Field::optional("labels", LABELS),
        Field::optional("creationTime", Shape::Text(Rule::Time)).or_null(),
        Field::optional("resources", Shape::List(&RESOURCE)),
        Field::optional("sources", Shape::List(&SOURCE)).or_null(),
        Field::optional("componentReferences", REFERENCES).or_null(),
        Field::optional("references", REFERENCES).or_null(),
        Field::optional("signatures", Shape::Any).old(),
        Field::optional("meta", Shape::Object(&META)).old(),
    ],
);

const META: Object = Object::open("meta", "What older files say of the descriptor", &[]);

const PROVIDER: Object = Object::open(
    "provider",
    "Who provides the component",
    &[
        Field::required("name", Shape::Text(Rule::NonEmpty)),
        Field::optional("labels", LABELS),
    ],
);

const RESOURCE: Shape = Shape::Either(&Either {
    about: "Something that is delivered",
    key: "access",
    with: &RESOURCE_WITH_ACCESS,
    without: &RESOURCE_WITH_INPUT,
});

const RESOURCE_WITH_ACCESS: Object = Object::closed(
    "resourceWithAccess",
    "A resource whose content stands elsewhere",
    &[
        NAME,
        Field::required("version", Shape::Text(Rule::Version)),
        TYPE,
        Field::optional("relation", Shape::Text(Rule::Relation)),
        Field::required("access", Shape::Typed),
        EXTRA_IDENTITY,
        Field::optional("labels", LABELS),
        SRC_REFS,
        SRC_REF.old(),
        DIGEST,
        OPTIONS,
    ],
);

const RESOURCE_WITH_INPUT: Object = Object::closed(
    "resourceWithInput",
    "A resource whose content is put beside the component version",
    &[
        NAME,
        Field::optional("version", Shape::Text(Rule::Version)),
        TYPE,
        Field::optional("relation", Shape::Text(Rule::OneOf(&["local"]))),
        Field::required("input", Shape::Typed),
        EXTRA_IDENTITY,
        Field::optional("labels", LABELS),
        SRC_REFS,
        SRC_REF.old(),
        DIGEST,
        OPTIONS,
    ],
);

const SOURCE: Shape = Shape::Either(&Either {
    about: "Something that resources were made of",
    key: "access",
    with: &SOURCE_WITH_ACCESS,
    without: &SOURCE_WITH_INPUT,
});

const SOURCE_WITH_ACCESS: Object = Object::closed(
    "sourceWithAccess",
    "A source whose content stands elsewhere",
    &[
        NAME,
        Field::optional("version", Shape::Text(Rule::Version)),
        TYPE,
        Field::required("access", Shape::Typed),
        EXTRA_IDENTITY,
        Field::optional("labels", LABELS),
    ],
);

const SOURCE_WITH_INPUT: Object = Object::closed(
    "sourceWithInput",
    "A source whose content is put beside the component version",
    &[
        NAME,
        Field::optional("version", Shape::Text(Rule::Version)),
        TYPE,
        Field::required("input", Shape::Typed),
        EXTRA_IDENTITY,
        Field::optional("labels", LABELS),
    ],
);

const REFERENCES: Shape = Shape::List(&Shape::Object(&REFERENCE));

const REFERENCE: Object = Object::closed(
    "reference",
    "Another component version that belongs to this one",
    &[
        NAME,
        Field::required("componentName", Shape::Text(Rule::ComponentName)),
        Field::required("version", Shape::Text(Rule::Version)),
        EXTRA_IDENTITY,
        Field::optional("labels", LABELS),
        DIGEST,
    ],
);

const NAME: Field = Field::required("name", Shape::Text(Rule::ElementName));
const TYPE: Field = Field::required("type", Shape::Text(Rule::TypeName));
const EXTRA_IDENTITY: Field = Field::optional("extraIdentity", Shape::Identity);
const SRC_REFS: Field = Field::optional("srcRefs", Shape::List(&Shape::Object(&SOURCE_REF)));
const SRC_REF: Field = Field::optional("srcRef", Shape::List(&Shape::Object(&SOURCE_REF)));
const DIGEST: Field = Field::optional("digest", Shape::Object(&DIGEST_SPEC)).or_null();
const OPTIONS: Field = Field::optional("options", Shape::Object(&RESOURCE_OPTIONS));

const SOURCE_REF: Object = Object::closed(
    "sourceRef",
    "Names sources by their identity",
    &[
        Field::optional("identitySelector", Shape::Identity),
        Field::optional("labels", LABELS),
    ],
);

const LABELS: Shape = Shape::List(&Shape::Object(&LABEL));

const LABEL: Object = Object::closed(
    "label",
    "A named value; signatures cover it if it says so",
    &[
        Field::required("name", Shape::Text(Rule::NonEmpty)),
        Field::required("value", Shape::Any),
        Field::optional("version", Shape::Text(Rule::LabelVersion)),
        Field::optional("signing", Shape::Flag),
        Field::optional("merge", Shape::Object(&MERGE)),
    ],
);

const MERGE: Object = Object::closed(
    "merge",
    "How two values of a label become one",
    &[
        Field::optional("algorithm", Shape::Text(Rule::NonEmpty)),
        Field::optional("config", Shape::Any),
    ],
);

const DIGEST_SPEC: Object = Object::closed(
    "digest",
    "A digest, and how it was computed",
    &[
        Field::required("hashAlgorithm", Shape::Text(Rule::NonEmpty)),
        Field::required("normalisationAlgorithm", Shape::Text(Rule::NonEmpty)),
        Field::required("value", Shape::Text(Rule::NonEmpty)),
    ],
);

const RESOURCE_OPTIONS: Object = Object::closed(
    "options",
    "What is done beside storing the resource",
    &[
        Field::optional(
            "ownershipPolicy",
            Shape::Text(Rule::OneOf(&["Never", "Always"])),
        ),
        Field::optional("skipDigestGeneration", Shape::Flag),
    ],
);
