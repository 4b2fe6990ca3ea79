//! Component versions as stores hold them.

use ocm_backends::decode_descriptor;

const START: &str = "application/vnd.ocm.software.component-descriptor.v2";

/// The layer with the component descriptor, in every encoding.
pub fn component_layer(bytes: &[u8]) {
    for suffix in ["+json", "+yaml", "+yaml+tar", ""] {
        let Some(descriptor) = decode_descriptor(&format!("{START}{suffix}"), bytes) else {
            continue;
        };
        let stored = descriptor.write_json();
        let again = decode_descriptor(&format!("{START}+json"), &stored);
        let again = again.expect("what was written is a descriptor");
        assert_eq!(again.write_json(), stored);
    }
}
