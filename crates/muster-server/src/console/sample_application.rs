//! Sample applications.

use super::{
    deployment::DeploymentForm,
    deployment_options::OptionsForm,
    sample::{Flavour, ago, hash, uuid},
};
use muster_model::{
    api::{ApplicationInfo, ClassAdd, RelatedApplication, Relation, TypePreview},
    application::{
        Application, Collector, Command, ContentFile, Dependency, DependencyGroup, DeploymentType, Detection,
        Parameter, ParameterKind, ParameterValue, ParameterWay, Platform, Privilege, Requirement, Retries, ReturnCode,
        ReturnMeaning, Superseded,
    },
    id::ApplicationId,
    time::DAY,
    update::{UpdateCriteria, UpdateGroup, UpdatePackage, UpdateTool},
};

impl Flavour {
    pub(super) fn application(self, number: u8, name: &str, version: &str) -> ApplicationInfo {
        ApplicationInfo {
            hash: hash(number + 70),
            application: Application {
                id: ApplicationId(uuid(u64::from(number) + 200)),
                name: self.name(name),
                version: self.text(version),
                platform: Platform::Linux,
                content: vec![ContentFile {
                    name: "package.deb".parse().unwrap(),
                    hash: hash(number + 110),
                    size: 14_250_112,
                }],
                install: Command {
                    program: "/usr/bin/dpkg".to_owned(),
                    arguments: vec![
                        "--install".to_owned(),
                        "content/package.deb".to_owned(),
                        self.text("--force-confold"),
                    ],
                    success_codes: vec![0],
                },
                detection: match number {
                    1 => Detection::Package { name: self.text(name), version: Some(self.text(version)) },
                    3 => Detection::Updates { group: self.updates() },
                    2 => Detection::File { path: self.text("/usr/bin/audit"), hash: Some(hash(9)) },
                    _ => Detection::Command {
                        command: Command {
                            program: self.text("/usr/bin/true"),
                            arguments: vec![],
                            success_codes: vec![0, 3],
                        },
                    },
                },
                secrets: Vec::new(),
                uninstall: (number == 1).then(|| Command {
                    program: "/usr/bin/dpkg".to_owned(),
                    arguments: vec!["--remove".to_owned(), self.text(name)],
                    success_codes: vec![0],
                }),
                repair: None,
                requirements: match number {
                    1 => vec![Requirement {
                        name: self.name("4 GB of memory"),
                        query: self
                            .text("select * from SMS_G_System_X86_PC_MEMORY where TotalPhysicalMemory >= 4000000"),
                    }],
                    _ => Vec::new(),
                },
                return_codes: match number {
                    1 => vec![ReturnCode { code: 5, meaning: ReturnMeaning::Retry }],
                    _ => Vec::new(),
                },
                retries: (number == 1).then_some(Retries { count: 3, wait_seconds: 600 }),
                dependencies: match number {
                    1 => vec![DependencyGroup {
                        any: vec![Dependency {
                            application: ApplicationId(uuid(202)),
                            version: Some(self.text("2.1")),
                        }],
                    }],
                    _ => Vec::new(),
                },
                supersedes: match number {
                    1 => vec![Superseded { application: ApplicationId(uuid(203)), uninstall: true }],
                    _ => Vec::new(),
                },
                collector: (number == 2).then(|| Collector {
                    class: ClassAdd { name: "BADGE_READER".to_owned(), provider: String::new(), attributes: vec![] },
                    command: Command {
                        program: "content/badges".to_owned(),
                        arguments: vec![self.text("--all")],
                        success_codes: vec![0],
                    },
                    max_run_seconds: 30,
                    privilege: if self == Self::Hostile { Privilege::Root } else { Privilege::None },
                }),
                type_name: (number == 1).then(|| self.name("package")),
                types: if number == 1 { vec![self.portable()] } else { Vec::new() },
                parameters: if number == 1 { vec![self.parameter()] } else { Vec::new() },
                max_run_seconds: 900,
            },
            authors: vec![hash(150), hash(151)],
            created: ago(i64::from(number) * 3 * DAY),
            content_size: 14_250_112,
        }
    }

    fn updates(self) -> UpdateGroup {
        UpdateGroup {
            tool: UpdateTool::Apt,
            packages: vec![UpdatePackage { name: self.text("openssl"), version: self.text("3.0.17-1"), exact: true }],
            criteria: Some(UpdateCriteria {
                security: true,
                origins: vec![self.text("Debian-Security:*")],
                names: vec![],
            }),
            exclude: vec![self.text("linux-*")],
            allow_new: false,
            allow_removals: false,
        }
    }

    fn portable(self) -> DeploymentType {
        DeploymentType {
            name: self.name("portable"),
            platform: Platform::Linux,
            requirements: vec![Requirement { name: self.name("4 GB"), query: self.text("select * from SMS_R_System") }],
            content: Vec::new(),
            install: Command {
                program: "/usr/bin/tar".to_owned(),
                arguments: vec![self.text("-x")],
                success_codes: vec![0],
            },
            uninstall: None,
            repair: None,
            detection: Detection::Program,
            return_codes: Vec::new(),
            max_run_seconds: 60,
        }
    }

    fn parameter(self) -> Parameter {
        Parameter {
            name: "mode".parse().unwrap(),
            kind: ParameterKind::Choice { values: vec![self.text("quick"), self.text("full")] },
            way: ParameterWay::Input,
            default: Some(ParameterValue::Text(self.text("quick"))),
        }
    }

    /// What stands in a form beside the usual.
    pub(super) fn rest_of_form(self) -> DeploymentForm {
        let (rerun, every_hours) = ("if_failed".to_owned(), self.text("24"));
        let options = OptionsForm { rerun, every_hours, parameters: self.text("port=80"), notices: true };
        DeploymentForm { options, ..DeploymentForm::default() }
    }

    /// A deployment type in a preview.
    pub(super) fn type_preview(self) -> TypePreview {
        TypePreview {
            name: self.text("portable"),
            platform: Platform::Linux,
            content_size: 9_000_000,
            max_run_seconds: 600,
            requirements: vec![self.text("At least 4 GB")],
            devices: 12,
        }
    }

    /// What a deployment takes along.
    pub(super) fn related(self) -> Vec<RelatedApplication> {
        let one = |number, name, relation| RelatedApplication {
            application: hash(number),
            name: self.text(name),
            version: self.text("2.4"),
            relation,
        };
        vec![one(72, "audit", Relation::Dependency), one(73, "apache2", Relation::Superseded)]
    }
}
