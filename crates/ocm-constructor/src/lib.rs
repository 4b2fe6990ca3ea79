//! Component constructors: templating, inputs, building component versions.
