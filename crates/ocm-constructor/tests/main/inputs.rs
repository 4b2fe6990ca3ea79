//! The inputs of this crate.

use std::fs;
use std::path::Path;

use ocm_blob::{Bytes, read_to_end};
use ocm_constructor::InputContext;
use ocm_constructor::input::{InputError, InputMethods, Produced};
use ocm_model::{ElementKind, typed::TypedSpec};
use ocm_repository::Content;

use crate::fake::constructor;

/// Processes an input and returns media type and bytes.
async fn process(directory: &Path, input: &str) -> Result<(String, Bytes), InputError> {
    let text = format!(
        "name: acme.org/x\nversion: 1.0.0\nprovider: acme.org\nresources:\n- {{name: data, type: blob, input: {input}}}\n"
    );
    let component = constructor(&text).components.remove(0);
    let context = InputContext {
        component: component.id.clone(),
        kind: ElementKind::Resource,
        name: "data".to_owned(),
        version: component.id.version.clone(),
        directory: directory.to_owned(),
    };
    let input = component.resources[0].input.as_ref().unwrap();
    let result = InputMethods::files()
        .method(input)?
        .process(input, &context)
        .await?;
    let Produced::Content(Content::Blob(blob)) = result.produced else {
        panic!("not a blob")
    };
    let bytes = read_to_end(blob.as_ref(), u64::MAX).await.unwrap();
    assert!(blob.size().is_none_or(|size| size == bytes.len() as u64));
    assert_eq!(bytes, read_to_end(blob.as_ref(), u64::MAX).await.unwrap());
    Ok((blob.media_type().unwrap().to_owned(), bytes))
}

async fn text(directory: &Path, input: &str) -> (String, String) {
    let (media_type, bytes) = process(directory, input).await.unwrap();
    (media_type, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn refused(directory: &Path, input: &str) -> String {
    let error = process(directory, input).await.unwrap_err().to_string();
    if directory.is_absolute() {
        error.replace(directory.to_str().unwrap(), "<dir>")
    } else {
        error
    }
}

/// Returns the names in a tar.
fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap())
        .collect()
}

/// A directory with some files, its paths without symbolic links.
fn tree() -> (tempfile::TempDir, std::path::PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let root = guard.path().canonicalize().unwrap();
    for name in [
        "tree/sub/b.txt",
        "tree/sub/c.yaml",
        "tree/a.txt",
        "tree/sub.txt",
        "tree/z/deep/d.txt",
    ] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), name).unwrap();
    }
    (guard, root)
}

#[tokio::test]
async fn texts_are_written_as_go_writes_them() {
    let here = Path::new(".");
    let check = |(media_type, text): (String, String), expected: (&str, &str)| {
        assert_eq!((media_type.as_str(), text.as_str()), expected);
    };
    check(
        text(here, "{type: utf8, text: 'leaf data'}").await,
        ("text/plain", "leaf data"),
    );
    check(
        text(here, "{type: UTF8/v1, text: ''}").await,
        ("text/plain", ""),
    );
    check(
        text(here, "{type: utf8, json: {b: [1, 1.50, null], a: '<&>'}}").await,
        (
            "application/json",
            r#"{"a":"\u003c\u0026\u003e","b":[1,1.5,null]}"#,
        ),
    );
    check(
        text(here, "{type: utf8, formattedJson: {b: [1], a: {}}}").await,
        (
            "application/json",
            "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n}",
        ),
    );
    check(
        text(
            here,
            "{type: utf8, yaml: {b: [1, x: y], a: 'yes', c: {d: ~, e: []}}}",
        )
        .await,
        (
            "application/x-yaml",
            "a: \"yes\"\nb:\n- 1\n- x: \"y\"\nc:\n  d: null\n  e: []\n",
        ),
    );
}

#[tokio::test]
async fn a_text_is_given_in_one_form() {
    let here = Path::new(".");
    insta::assert_snapshot!(refused(here, "{type: utf8}").await, @"c.yaml:5:35: resources[0].input: must have exactly one of `text`, `json`, `formattedJson`, `yaml`");
    insta::assert_snapshot!(refused(here, "{type: utf8, text: x, json: 1}").await, @"c.yaml:5:35: resources[0].input: must have exactly one of `text`, `json`, `formattedJson`, `yaml`");
    insta::assert_snapshot!(refused(here, "{type: utf8, text: 1}").await, @"c.yaml:5:54: resources[0].input.text: field `text` of `utf8` must be a text, not a number");
    insta::assert_snapshot!(refused(here, "{type: utf8, txt: x}").await, @"c.yaml:5:53: resources[0].input.txt: is not a field of `utf8`; did you mean `text`?");
    insta::assert_snapshot!(refused(here, "{type: utf}").await, @"c.yaml:5:42: resources[0].input.type: input type `utf` is not known; did you mean `utf8`?");
    insta::assert_snapshot!(refused(here, "{type: file/v2, path: x}").await, @"c.yaml:5:42: resources[0].input.type: input type `file/v2` is not known; known are `file`, `dir`, `utf8`, `binary`");
}

#[tokio::test]
async fn the_media_type_of_a_file_is_given_or_guessed() {
    let (_guard, root) = tree();
    let (media_type, content) = text(&root, "{type: file, path: ./tree/a.txt}").await;
    assert_eq!(
        (media_type.as_str(), content.as_str()),
        ("text/plain; charset=utf-8", "tree/a.txt")
    );
    let (media_type, _) = text(&root, "{type: File/v1, path: tree/a.txt, mediaType: a/b}").await;
    assert_eq!(media_type, "a/b");
    let (media_type, bytes) = process(
        &root,
        "{type: file, path: tree/a.txt, mediaType: a/b, compress: true}",
    )
    .await
    .unwrap();
    assert_eq!(
        (media_type.as_str(), &bytes[..2]),
        ("a/b+gzip", &b"\x1f\x8b"[..])
    );
    let absolute = format!(
        "{{type: file, path: '{}'}}",
        root.join("tree/a.txt").display()
    );
    assert_eq!(text(&root, &absolute).await.1, "tree/a.txt");
}

#[cfg(unix)]
#[tokio::test]
async fn no_path_leaves_the_directory() {
    let (_guard, root) = tree();
    let inner = root.join("tree");
    std::os::unix::fs::symlink(root.join("tree/a.txt"), root.join("tree/z/link")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", root.join("tree/z/out")).unwrap();
    fs::write(root.join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(&root, root.join("tree/z/up")).unwrap();
    assert_eq!(
        text(&inner, "{type: file, path: z/link}").await.1,
        "tree/a.txt"
    );
    insta::assert_snapshot!(refused(&inner, "{type: file, path: ../secret}").await, @"c.yaml:5:54: resources[0].input.path: ../secret is not inside of <dir>");
    insta::assert_snapshot!(refused(&inner, "{type: file, path: z/up/secret}").await, @"c.yaml:5:54: resources[0].input.path: z/up/secret is not inside of <dir>");
    insta::assert_snapshot!(refused(&inner, "{type: dir, path: z/up}").await, @"c.yaml:5:53: resources[0].input.path: z/up is not inside of <dir>");
    insta::assert_snapshot!(refused(&inner, "{type: file, path: /etc/passwd}").await, @"c.yaml:5:54: resources[0].input.path: /etc/passwd is not inside of <dir>");
    insta::assert_snapshot!(refused(&inner, "{type: file, path: missing}").await, @"c.yaml:5:54: resources[0].input.path: cannot open <dir>/missing");
    insta::assert_snapshot!(refused(&inner, "{type: file, path: sub}").await, @"c.yaml:5:54: resources[0].input.path: cannot use <dir>/sub");
    insta::assert_snapshot!(refused(&inner, "{type: file}").await, @"c.yaml:5:35: resources[0].input: field `path` of `file` is missing");
    insta::assert_snapshot!(refused(&inner, "{type: file, path: ''}").await, @"c.yaml:5:54: resources[0].input.path: must not be empty");
}

#[tokio::test]
async fn a_directory_is_packed_in_the_order_of_names() {
    let (_guard, root) = tree();
    let (media_type, tar) = process(&root, "{type: dir, path: tree}").await.unwrap();
    assert_eq!(media_type, "application/x-tar");
    let all = [
        "./",
        "a.txt",
        "sub/",
        "sub/b.txt",
        "sub/c.yaml",
        "sub.txt",
        "z/",
        "z/deep/",
        "z/deep/d.txt",
    ];
    assert_eq!(names(&tar), all);
    let (_, tar) = process(&root, "{type: dir, path: ./tree/, preserveDir: true}")
        .await
        .unwrap();
    let below: Vec<String> = all
        .iter()
        .map(|name| format!("tree/{}", name.trim_start_matches("./")))
        .collect();
    assert_eq!(names(&tar), below);
    let (media_type, _) = process(&root, "{type: dir, path: tree, compress: true}")
        .await
        .unwrap();
    assert_eq!(media_type, "application/x-tar+gzip");
}

#[tokio::test]
async fn patterns_include_files_and_exclude_trees() {
    let (_guard, root) = tree();
    for (patterns, expected) in [
        ("includeFiles: ['*.txt']", &["a.txt", "sub.txt"][..]),
        (
            "includeFiles: ['*.txt', '*/*.txt', z]",
            &["a.txt", "sub/b.txt", "sub.txt", "z/"],
        ),
        (
            "excludeFiles: [sub, '*/deep']",
            &["./", "a.txt", "sub.txt", "z/"],
        ),
        (
            "includeFiles: ['sub/*'], excludeFiles: ['*/c.*']",
            &["sub/b.txt"],
        ),
        ("excludeFiles: ['.']", &[]),
    ] {
        let input = format!("{{type: dir, path: tree, {patterns}}}");
        assert_eq!(
            names(&process(&root, &input).await.unwrap().1),
            expected,
            "{patterns}"
        );
    }
    let input = "{type: dir, path: tree, preserveDir: true, includeFiles: ['tree/*.txt']}";
    assert_eq!(
        names(&process(&root, input).await.unwrap().1),
        ["tree/a.txt", "tree/sub.txt"]
    );
    insta::assert_snapshot!(refused(&root, "{type: dir, path: tree, excludeFiles: ['[a']}").await, @"c.yaml:5:73: resources[0].input.excludeFiles: `[a` is not a well-formed pattern");
    insta::assert_snapshot!(refused(&root, "{type: dir, path: tree, excludeFiles: x}").await, @"c.yaml:5:73: resources[0].input.excludeFiles: must be a list of texts");
}

#[tokio::test]
async fn a_path_to_a_file_gives_its_bytes() {
    let (_guard, root) = tree();
    let (media_type, content) = text(&root, "{type: dir, path: tree/a.txt}").await;
    assert_eq!(
        (media_type.as_str(), content.as_str()),
        ("application/octet-stream", "tree/a.txt")
    );
    insta::assert_snapshot!(refused(&root, "{type: dir, path: tree/a.txt, includeFiles: [x]}").await, @"c.yaml:5:53: resources[0].input.path: is a file, for which nothing can be included or excluded");
}

#[cfg(unix)]
#[tokio::test]
async fn symbolic_links_are_refused_or_followed_inside() {
    use std::os::unix::fs::symlink;
    let (_guard, root) = tree();
    symlink("../a.txt", root.join("tree/sub/link")).unwrap();
    insta::assert_snapshot!(refused(&root, "{type: dir, path: tree}").await, @"c.yaml:5:53: resources[0].input.path: <dir>/tree/sub/link is a symbolic link; set `followSymlinks` to pack what it points to");
    let follow = "{type: dir, path: tree/sub, followSymlinks: true}";
    let (_, tar) = process(&root, follow).await.unwrap();
    assert_eq!(names(&tar), ["./", "b.txt", "c.yaml", "link"]);
    let excluded = "{type: dir, path: tree/sub, excludeFiles: [link]}";
    assert_eq!(
        names(&process(&root, excluded).await.unwrap().1),
        ["./", "b.txt", "c.yaml"]
    );

    symlink("/etc", root.join("tree/sub/out")).unwrap();
    insta::assert_snapshot!(refused(&root, follow).await, @"c.yaml:5:53: resources[0].input.path: /etc is not inside of <dir>");
    fs::remove_file(root.join("tree/sub/out")).unwrap();
    symlink("..", root.join("tree/sub/loop")).unwrap();
    insta::assert_snapshot!(refused(&root, "{type: dir, path: tree, followSymlinks: true}").await, @"c.yaml:5:53: resources[0].input.path: <dir>/tree contains a symbolic link to itself");
}

#[cfg(unix)]
#[tokio::test]
async fn go_packs_the_same_bytes() {
    use std::os::unix::fs::PermissionsExt as _;
    let conformance = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let blob = "ctf/v2-product/blobs/sha256.df7a9b1ba9d0e97e6c5a9c3b76a1067ba5352cd60ec298e230b76ce7f3c558c7";
    let mut expected = fs::read(conformance.join(blob)).unwrap();
    // That tar has the times and the owner of the machine it was made on.
    for block in expected.chunks_mut(512) {
        if &block[257..262] == b"ustar" {
            block[136..147].fill(b'0');
            block[265..329].fill(0);
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    let guard = tempfile::tempdir().unwrap();
    let root = guard.path().canonicalize().unwrap();
    for (name, content) in [
        ("tree", None),
        ("tree/sub", None),
        ("tree/a", Some("a\n")),
        ("tree/sub/b", Some("b\n")),
    ] {
        let path = root.join(name);
        let mode = match content {
            Some(content) => fs::write(&path, content).map(|()| 0o644),
            None => fs::create_dir(&path).map(|()| 0o755),
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode.unwrap())).unwrap();
    }
    let (_, tar) = process(&root, "{type: dir, path: tree}").await.unwrap();
    assert_eq!(tar, expected);
}

#[tokio::test]
async fn entries_have_times_only_on_demand() {
    let (_guard, root) = tree();
    let modified = |tar: &[u8]| {
        let mut archive = tar::Archive::new(tar);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        entry.header().mtime().unwrap()
    };
    let (_, tar) = process(&root, "{type: dir, path: tree, reproducible: true}")
        .await
        .unwrap();
    assert_eq!(modified(&tar), 0);
    let (_, tar) = process(&root, "{type: dir, path: tree, reproducible: false}")
        .await
        .unwrap();
    assert!(modified(&tar) > 0);
}

#[tokio::test]
async fn a_file_that_changes_before_it_is_read_is_an_error() {
    let (_guard, root) = tree();
    let component = constructor(
        "name: acme.org/x\nversion: 1.0.0\nprovider: acme.org\nresources:\n- {name: data, type: blob, input: {type: dir, path: tree}}\n",
    )
    .components
    .remove(0);
    let context = InputContext {
        component: component.id.clone(),
        kind: ElementKind::Resource,
        name: "data".to_owned(),
        version: component.id.version.clone(),
        directory: root.clone(),
    };
    let input = component.resources[0].input.as_ref().unwrap();
    assert_eq!(input.spec, TypedSpec::new("dir").with("path", "tree"));
    let methods = InputMethods::files();
    let result = methods
        .method(input)
        .unwrap()
        .process(input, &context)
        .await
        .unwrap();
    fs::write(root.join("tree/sub/b.txt"), "other").unwrap();
    let Produced::Content(Content::Blob(blob)) = result.produced else {
        panic!("not a blob")
    };
    let error = read_to_end(blob.as_ref(), u64::MAX).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot read {}", root.join("tree/sub/b.txt").display())
    );
}

#[tokio::test]
async fn go_writes_the_same_texts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/utf8-inputs");
    let text = fs::read_to_string(folder.join("component-constructor.yaml")).unwrap();
    let component = constructor(&text).components.remove(0);
    for (entry, file) in
        component
            .resources
            .iter()
            .zip(["compact.json", "formatted.json", "value.yaml"])
    {
        let input = entry.input.as_ref().unwrap();
        let context = InputContext {
            component: component.id.clone(),
            kind: ElementKind::Resource,
            name: "data".to_owned(),
            version: component.id.version.clone(),
            directory: folder.clone(),
        };
        let methods = InputMethods::files();
        let method = methods.method(input).unwrap();
        let result = method.process(input, &context).await.unwrap();
        let Produced::Content(Content::Blob(blob)) = result.produced else {
            panic!("not a blob")
        };
        let bytes = read_to_end(blob.as_ref(), u64::MAX).await.unwrap();
        let actual = String::from_utf8(bytes.to_vec()).unwrap();
        let expected = fs::read_to_string(folder.join(file)).unwrap();
        for (actual, expected) in actual.lines().zip(expected.lines()) {
            assert_eq!(actual, expected, "{file}");
        }
        assert_eq!(actual, expected, "{file}");
    }
}
