//! Component versions over OCI stores; access and input by Helm and HTTP.
