package reseal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/resealhq/reseal/"

// rule is an edge of the import graph that must not exist. Patterns are import
// paths, those of this module without its prefix; a trailing /... takes in
// everything below, and the package itself. Tests' imports are free.
type rule struct {
	from, except []string // except from these
	to, but      []string // but to these
	// through forbids a path of imports as well as a direct one.
	through bool
	why     string
	// example is an edge that breaks the rule; it keeps the rule able to fail.
	example [2]string
}

// Whoever is compiled into no reseal binary.
var testCode = []string{"bench/...", "engine/s3test/awsface", "engine/s3test/conformance", "engine/s3test/realserver", "engine/s3test/s3control"}

var anyPackage = []string{"cmd/...", "engine/...", "planner/...", "checkpoint/...", "bench/..."}

var rules = []rule{
	{from: []string{"engine/object"}, to: []string{"external", "cmd/...", "engine/...", "planner/...", "checkpoint/...", "bench/..."}, through: true,
		why:     "the nouns are what everybody imports: whatever they import, everybody does",
		example: [2]string{"engine/object", "golang.org/x/sync/errgroup"}},
	{from: []string{"engine/cse"}, to: []string{"external", "engine/..."}, but: []string{"engine/object"}, through: true,
		why:     "formats and keys are judged by themselves: no connection, no store and nobody else's code comes between",
		example: [2]string{"engine/cse", "engine/s3store"}},
	{from: anyPackage, except: append([]string{"engine/s3store"}, testCode...),
		to:      []string{"github.com/aws/aws-sdk-go-v2/...", "github.com/aws/smithy-go/..."},
		why:     "one package knows the SDK, so that errors are classified and retries are off in one place",
		example: [2]string{"engine/wire", "github.com/aws/aws-sdk-go-v2/aws"}},
	{from: []string{"planner/..."}, to: []string{"checkpoint/..."}, through: true,
		why:     "they meet in the nouns of object; either can be replaced without the other",
		example: [2]string{"planner/listing", "checkpoint"}},
	{from: []string{"checkpoint/..."}, to: []string{"planner/..."}, through: true,
		why:     "they meet in the nouns of object; either can be replaced without the other",
		example: [2]string{"checkpoint", "planner"}},
	{from: []string{"planner/...", "checkpoint/..."}, to: []string{"engine/..."}, but: []string{"engine/object"}, through: true,
		why:     "data flows from plan over checkpoint to engine; imports point to object, never along with it",
		example: [2]string{"planner/inventory", "engine/s3store"}},
	// A job brings plan, checkpoint and engine together, so that whoever wants all
	// promises kept has one package to call; nobody below it may.
	{from: []string{"engine/..."}, except: []string{"engine/job"}, to: []string{"planner/...", "checkpoint/..."}, through: true,
		why:     "the engine is given a Journal and a Chooser; that is all it may know of them",
		example: [2]string{"engine", "checkpoint"}},
	{from: anyPackage, except: []string{"cmd/...", "bench/..."}, to: []string{"engine/job"},
		why:     "a job is the top: programs call it, and nothing that it stands on may",
		example: [2]string{"engine/report", "engine/job"}},
	{from: []string{"engine/job"}, to: []string{"github.com/spf13/cobra/...", "github.com/spf13/pflag/...", "github.com/prometheus/..."},
		why:     "a library for every program: flags and metrics belong to one of them",
		example: [2]string{"engine/job", "github.com/spf13/pflag"}},
	{from: []string{"engine/folder"}, to: []string{"engine/..."}, but: []string{"engine/object", "engine/store"}, through: true,
		why:     "a folder is asked what every store is asked, and knows of none of those who ask",
		example: [2]string{"engine/folder", "engine/look"}},
	{from: []string{"engine/store"}, to: []string{"engine/..."}, but: []string{"engine/object"}, through: true,
		why:     "what is asked of an endpoint is a contract: it holds no code, so that every client can keep it",
		example: [2]string{"engine/store", "engine/pace"}},
	{from: []string{"engine/carry"}, to: []string{"engine/...", "external"}, but: []string{"engine/object"}, through: true,
		why:     "what a copy carries is pure, so that tables can test it: it asks nobody and waits for nothing",
		example: [2]string{"engine/carry", "engine/retry"}},
	{from: []string{"engine/retry"}, to: []string{"engine/..."}, but: []string{"engine/object"}, through: true,
		why:     "a request is repeated for its class, whatever it asks for and of whom",
		example: [2]string{"engine/retry", "engine/store"}},
	{from: []string{"engine/dispatch"}, to: []string{"engine/...", "external"}, but: []string{"engine/object"}, through: true,
		why:     "whose turn it is is decided by a plan and a pace, by what it asks of them: neither need be there to try it",
		example: [2]string{"engine/dispatch", "engine/pace"}},
	{from: []string{"engine/ledger"}, to: []string{"engine/..."}, but: []string{"engine/object"}, through: true,
		why:     "what outlives a machine knows nothing of what it keeps, so that it can be tried without it",
		example: [2]string{"engine/ledger", "engine/s3store"}},
	{from: []string{"engine/look"}, to: []string{"engine/..."}, but: []string{"engine/object", "engine/store", "engine/carry", "engine/retry"}, through: true,
		why:     "whoever only looks can change nothing, nor know what will be made of it",
		example: [2]string{"engine/look", "engine/upload"}},
	{from: []string{"engine/upload"}, to: []string{"engine/..."}, but: []string{"engine/object", "engine/store", "engine/carry", "engine/retry", "engine/look"}, through: true,
		why:     "a copy in parts is a route of the engine, and knows nothing of plans, choices and outcomes",
		example: [2]string{"engine/upload", "engine"}},
	{from: []string{"engine"}, to: []string{"engine/wire", "engine/s3store", "engine/report", "engine/metrics"}, through: true,
		why:     "the engine knows stores by what it asks of them, and observers by what it tells them",
		example: [2]string{"engine", "engine/s3store"}},
	{from: anyPackage, to: []string{"cmd/..."}, through: true,
		why:     "flags become Options in cmd and go no further",
		example: [2]string{"engine/report", "cmd/reseal"}},
	{from: anyPackage, to: []string{"engine/s3test", "engine/s3test/check", "engine/s3test/fault", "engine/s3test/kms"},
		except:  append([]string{"cmd/reseal", "engine/s3test", "engine/s3test/check"}, testCode...),
		why:     "the embedded store is for tests and for the demo; no product path may lean on it",
		example: [2]string{"engine/s3store", "engine/s3test"}},
	{from: []string{"engine/s3test/fault", "engine/s3test/kms"}, to: []string{"engine/...", "external"}, through: true,
		why:     "the rules and the keys know no store, so that each can be read, and tried, alone",
		example: [2]string{"engine/s3test/kms", "engine/object"}},
	{from: anyPackage, to: testCode, except: testCode, through: true,
		why:     "what ships knows nothing of benchmarks, suites and other people's servers",
		example: [2]string{"engine", "bench/tools"}},
	{from: anyPackage, to: []string{"testing"}, except: testCode,
		why:     "a binary that people run carries no test flags",
		example: [2]string{"engine/s3test", "testing"}},
	{from: anyPackage, to: []string{"github.com/cockroachdb/pebble/..."}, except: []string{"checkpoint"},
		why:     "what is on disk, and when it is durable, is decided in one package",
		example: [2]string{"engine", "github.com/cockroachdb/pebble/v2"}},
	{from: anyPackage, to: []string{"github.com/spf13/cobra/...", "github.com/spf13/pflag/..."}, except: []string{"cmd/..."},
		why:     "flags become Options in cmd and go no further",
		example: [2]string{"planner", "github.com/spf13/pflag"}},
	{from: anyPackage, to: []string{"github.com/prometheus/..."}, except: []string{"cmd/reseal", "engine/report/...", "engine/metrics/..."},
		why:     "workers report facts to an Observer; who counts them is one observer's business",
		example: [2]string{"engine", "github.com/prometheus/client_golang/prometheus"}},
	{from: anyPackage, to: []string{"github.com/valyala/fasthttp/..."}, except: []string{"engine/wire", "bench/..."},
		why:     "the fast client is chosen by measurement and may be exchanged; everything rare uses net/http",
		example: [2]string{"engine/s3store", "github.com/valyala/fasthttp"}},
	{from: anyPackage, to: []string{"text/template", "html/template"}, except: testCode,
		why:     "a program that can execute a template keeps every exported method of every type: a third more of it in memory",
		example: [2]string{"engine/report", "html/template"}},
	{from: anyPackage, to: []string{"github.com/twmb/avro/..."}, except: []string{"planner/iceberg"},
		why:     "the metadata of a table ends where its files begin",
		example: [2]string{"planner/inventory", "github.com/twmb/avro/ocf"}},
	{from: anyPackage, to: []string{"github.com/parquet-go/...", "github.com/scritchley/orc/..."}, except: []string{"planner/inventory/...", "engine/evidence", "bench"},
		why:     "file formats end where rows begin, and begin where rows end",
		example: [2]string{"planner", "github.com/parquet-go/parquet-go"}},
}

// goPackage is what go list tells of one package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestForbiddenImports(t *testing.T) {
	pkgs := listPackages(t)
	for i := range rules {
		for _, edge := range rules[i].broken(pkgs) {
			t.Errorf("%s imports %s: %s", edge[0], edge[1], rules[i].why)
		}
	}
}

// TestEveryRuleCanFail feeds each rule its example, directly and, where it
// forbids that too, through another package.
func TestEveryRuleCanFail(t *testing.T) {
	for i := range rules {
		r := &rules[i]
		from, to := full(r.example[0]), full(r.example[1])
		direct := []goPackage{{ImportPath: from, Imports: []string{to}, Deps: []string{to}}}
		if len(r.broken(direct)) != 1 {
			t.Errorf("the example %v does not break its rule: %s", r.example, r.why)
		}
		through := []goPackage{{ImportPath: from, Imports: []string{"fmt"}, Deps: []string{"fmt", to}}}
		if got := len(r.broken(through)) == 1; got != r.through {
			t.Errorf("%v through another package: broken is %v, want %v", r.example, got, r.through)
		}
	}
}

// broken lists the edges that the rule forbids, by their short names.
func (r *rule) broken(pkgs []goPackage) [][2]string {
	var edges [][2]string
	for _, p := range pkgs {
		from := short(p.ImportPath)
		if !matches(r.from, from) || matches(r.except, from) {
			continue
		}
		imported := p.Imports
		if r.through {
			imported = p.Deps
		}
		for _, to := range imported {
			if to := short(to); to != from && matches(r.to, to) && !matches(r.but, to) {
				edges = append(edges, [2]string{from, to})
			}
		}
	}
	return edges
}

func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "external" {
			host, _, _ := strings.Cut(pkg, "/")
			return strings.Contains(host, ".")
		}
		if below, ok := strings.CutSuffix(pattern, "/..."); ok {
			return pkg == below || strings.HasPrefix(pkg, below+"/")
		}
		return pkg == pattern
	})
}

func short(pkg string) string { return strings.TrimPrefix(pkg, module) }

func full(pkg string) string {
	if matches(anyPackage, pkg) {
		return module + pkg
	}
	return pkg
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// TestPackageNames: a package that is named for nothing collects everything.
func TestPackageNames(t *testing.T) {
	nothing := []string{"util", "utils", "common", "types", "models", "manager", "helpers", "misc", "base", "shared"}
	for _, p := range listPackages(t) {
		if slices.Contains(nothing, path.Base(p.ImportPath)) {
			t.Errorf("%s: call it what it is about", short(p.ImportPath))
		}
	}
}

// TestOnlyMainExits: whoever else calls os.Exit takes away the drain, the last
// flush of the checkpoint and the exit code.
func TestOnlyMainExits(t *testing.T) {
	files, fset := 0, token.NewFileSet()
	for _, p := range listPackages(t) {
		dir := filepath.FromSlash(short(p.ImportPath))
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files++
			if f.Name.Name == "main" && filepath.Base(name) == "main.go" {
				continue
			}
			for _, pos := range exits(f) {
				t.Errorf("%s: os.Exit outside main.go", fset.Position(pos))
			}
		}
	}
	if files == 0 {
		t.Error("no file was read")
	}
}

func exits(f *ast.File) (found []token.Pos) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && fmt.Sprint(sel.X) == "os" && sel.Sel.Name == "Exit" {
			found = append(found, call.Pos())
		}
		return true
	})
	return found
}
