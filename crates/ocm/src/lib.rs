//! The paved path through the Open Component Model.
