//! Bodies in files, and other files that cases of somebody else's lead to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use insta::assert_snapshot;
use midge_testkit::fixture;

use super::{ASKS, test};

/// Folders of somebody's: a project, and what is none of its business.
fn home_with(cases: &str) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("project");
    fs::create_dir_all(project.join("tests")).unwrap();
    let echo = fixture("http02-echo.wasm");
    let manifest = format!(
        "[function.shop]\ncomponent = \"{}\"\nroutes = [\"/*\"]\n",
        echo.display()
    );
    fs::write(project.join("midge.toml"), manifest).unwrap();
    fs::write(project.join("tests/shop.toml"), cases).unwrap();
    fs::write(project.join("inside.txt"), "inside").unwrap();
    fs::write(home.path().join("mine.txt"), "mine").unwrap();
    symlink("../../mine.txt", project.join("tests/link.txt")).unwrap();
    symlink("../../new.txt", project.join("tests/dangling.txt")).unwrap();
    (home, project)
}

#[test]
fn a_case_reads_no_body_but_its_projects() {
    let bodies = [
        "../inside.txt",
        "../../mine.txt",
        "link.txt",
        "/etc/hostname",
        "/dev/zero",
        "..",
    ];
    let case = |body: &str| {
        format!(
            "[[case]]\nname = \"{body}\"\nexpect = {{ status = 200, body = \"inside\" }}\n\
             request = {{ method = \"POST\", path = \"/\", body-file = \"{body}\" }}\n"
        )
    };
    let (_home, project) = home_with(&bodies.map(case).concat());
    assert_snapshot!(test(&project, &[]), @r"
    exit: 1
    --- stdout
    ok   shop: ../inside.txt
    FAIL shop: ../../mine.txt
         body-file `../../mine.txt` is not below `FOLDER`, where bodies of its cases have to be
    FAIL shop: link.txt
         body-file `link.txt` is not below `FOLDER`, where bodies of its cases have to be
    FAIL shop: /etc/hostname
         body-file `/etc/hostname` is not below `FOLDER`, where bodies of its cases have to be
    FAIL shop: /dev/zero
         body-file `/dev/zero` is not below `FOLDER`, where bodies of its cases have to be
    FAIL shop: ..
         read `tests/..`: Is a directory (os error 21)
    --- stderr
    1 passed, 5 failed
    ");
    // Cases of no project have their own folder.
    let (home, project) = home_with("");
    let alone = home.path().join("alone");
    fs::create_dir(&alone).unwrap();
    fs::write(alone.join("a.txt"), "inside").unwrap();
    let cases = case("a.txt") + &case("../mine.txt");
    fs::write(alone.join("a.toml"), cases).unwrap();
    let told = test(&project, &["--cases", "../alone/a.toml"]);
    assert!(told.contains("ok   a: a.txt"), "{told}");
    assert!(told.contains("FAIL a: ../mine.txt"), "{told}");
}

#[test]
fn an_update_writes_no_body_but_below_the_project() {
    let update = |body: &str| {
        let (home, project) = home_with(&format!(
            "[[case]]\nname = \"a\"\nexpect = {{ body-file = \"{body}\" }}\n\
             request = {{ method = \"POST\", path = \"/\", body = \"written\" }}\n"
        ));
        let told = test(&project, &["--update"]);
        let mine = fs::read_to_string(home.path().join("mine.txt")).unwrap();
        assert_eq!(mine, "mine", "{body}");
        let mut names: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["mine.txt", "project"], "{body}");
        let (_, told) = told.split_once("--- stderr\n").unwrap();
        let written = fs::read_to_string(project.join("tests").join(body));
        let written = written.is_ok_and(|text| text == "written");
        let home = home.path().to_string_lossy();
        format!("{written} {}", told.replace(&*home, "HOME"))
    };
    assert!(update("new.txt").starts_with("true "));
    assert!(update("../inside.txt").starts_with("true "));
    assert_snapshot!(update("../../new.txt"), @r"
    false error: body-file `../../new.txt` is not below `FOLDER`, where bodies of its cases have to be

    hint: bodies lie in the project of their cases, such as tests/order.json; `body-file` names them from where the cases lie
    ");
    for body in [
        "../../mine.txt",
        "link.txt",
        "dangling.txt",
        "/tmp/midge-new.txt",
    ] {
        let told = update(body);
        assert!(told.starts_with("false error: body-file"), "{told}");
    }
    assert_snapshot!(update("../.envrc"), @r"
    false error: body-file `../.envrc` is hidden, and no answer is written there

    hint: a name that begins with no dot
    ");
}

#[test]
fn answers_out_of_files_are_bounded_together() {
    let answers = r#"{ body-file = "big" },"#.repeat(5);
    let (_home, project) = home_with(&format!(
        "[[case]]\nname = \"a\"\nexpect = {{ status = 200 }}\nrequest = \"GET /\"\n\
         [[case.given.http]]\nrequest = \"GET http://a.test/*\"\nanswers = [{answers}]\n"
    ));
    let big = fs::File::create(project.join("tests/big")).unwrap();
    big.set_len(16 << 20).unwrap();
    let told = test(&project, &[]);
    assert!(
        told.contains("`body-file`s of `answers` have more than 67108864 bytes together"),
        "{told}"
    );
    big.set_len((16 << 20) + 1).unwrap();
    let told = test(&project, &[]);
    assert!(told.contains("is longer than 16777216 bytes"), "{told}");
    big.set_len(1 << 20).unwrap();
    assert!(test(&project, &[]).starts_with("exit: 0"));
}

#[test]
fn what_is_no_file_is_not_read() {
    let (_home, project) = home_with(ASKS);
    let touched = project.join("tests/touched.toml");
    symlink("/dev/zero", &touched).unwrap();
    assert_snapshot!(test(&project, &[]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `tests/touched.toml` is a link, and leads to no file that can be read

    hint: rm tests/touched.toml
    ");
    fs::remove_file(&touched).unwrap();
    symlink("../../new.toml", &touched).unwrap();
    let told = test(&project, &[]);
    assert!(told.contains("is a link, and leads to no file"), "{told}");
    fs::remove_file(&touched).unwrap();
    fs::remove_file(project.join("tests/shop.toml")).unwrap();
    symlink("/dev/zero", project.join("tests/shop.toml")).unwrap();
    let told = test(&project, &[]);
    assert!(told.contains("it is no regular file"), "{told}");
}
