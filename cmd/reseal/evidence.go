package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/evidence"
	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// evidenceFlags are those of report that make evidence of it.
type evidenceFlags struct {
	dir, keyFile, kmsKey string
	caller               bool
}

func (f *evidenceFlags) AddFlags(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.dir, "evidence", "", "write the report as signed evidence into this new folder")
	set.StringVar(&f.keyFile, "evidence-key-file", "", "sign it with the Ed25519 key in this file (PEM, as openssl genpkey -algorithm ed25519 makes it)")
	set.StringVar(&f.kmsKey, "evidence-kms-key-id", "", "sign it with this asymmetric KMS key")
	set.BoolVar(&f.caller, "evidence-caller", false, "ask STS who makes the evidence, and put the ARN into it")
}

// Validate refuses what has no meaning with evidence, which holds every row: somebody may
// mean to show some objects only, and would hand out the names of all.
func (f *evidenceFlags) Validate(given func(name string) bool) error {
	if f.dir == "" {
		for _, name := range []string{"evidence-key-file", "evidence-kms-key-id", "evidence-caller"} {
			if given(name) {
				return unusable("--"+name+" was given without --evidence", "name the folder for the evidence with --evidence, or leave it out")
			}
		}
		return nil
	}
	for _, name := range []string{"state", "only", "reason", "key", "format", "output"} {
		if given(name) {
			return unusable("--"+name+" was given with --evidence, which holds every row in forms of its own",
				"leave it out; `reseal explain --proof` shows what the evidence says of one object alone")
		}
	}
	return nil
}

// write makes the evidence of a job.
func (f *evidenceFlags) write(ctx context.Context, a *app, j *job.Job) error {
	signer, done, err := f.signer(ctx, j)
	if err != nil {
		return err
	}
	defer done()
	if err := j.Evidence(ctx, f.dir, job.EvidenceOptions{Version: readVersion().Version, Caller: f.caller, Signer: signer}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s\ncheck it: reseal evidence check %s\n", f.dir, f.dir)
	return err
}

func (f *evidenceFlags) signer(ctx context.Context, j *job.Job) (s evidence.Signer, done func(), err error) {
	done = func() {}
	switch {
	case f.keyFile != "" && f.kmsKey == "":
		data, err := os.ReadFile(f.keyFile)
		if err != nil {
			return nil, done, unusableBecause(err, "--evidence-key-file", "name a file that you can read")
		}
		local, err := evidence.ParseLocal(data)
		if err != nil {
			return nil, done, unusableBecause(err, "--evidence-key-file "+f.keyFile, "make a key with `openssl genpkey -algorithm ed25519 -out FILE`")
		}
		return local, done, nil
	case f.kmsKey != "" && f.keyFile == "":
		store, err := j.Spec.Connection.Open(ctx, job.Dial{})
		if err != nil {
			return nil, done, err
		}
		s, err := store.Signer(ctx, f.kmsKey)
		return s, store.Close, err
	}
	return nil, done, unusable("--evidence wants one key to sign with", "give --evidence-key-file or --evidence-kms-key-id")
}

func newEvidence(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evidence check DIR",
		Short: "Check what `report --evidence DIR` wrote (also possible with openssl alone)",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return unusable("evidence: what to do is missing", "`reseal evidence check DIR`")
		},
	}
	cmd.AddCommand(newEvidenceCheck(a))
	return cmd
}

func newEvidenceCheck(a *app) *cobra.Command {
	var keyFile, proof string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Check that nothing in a folder of evidence was changed since it was signed",
		Long: `check looks at every file: that the key signed the statement, that each file is the one
that the statement names, that no other is there, and that the rows are those of the
signed tree. Without --key it takes the folder's own key, and says so.

With --proof DIR holds at least envelope.json, and the proof is one that
` + "`reseal explain --proof`" + ` made.`,
		Args: atMost(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return unusable("evidence check: a folder is missing", "name the folder that `reseal report --evidence` wrote")
			}
			var key crypto.PublicKey
			if keyFile != "" {
				data, err := os.ReadFile(keyFile)
				if err == nil {
					key, err = evidence.ParsePublic(data)
				}
				if err != nil {
					return unusableBecause(err, "--key "+keyFile, "name the public key of who signed, in PEM")
				}
			}
			if proof != "" {
				return a.checkProof(args[0], proof, key)
			}
			c, err := evidence.Check(args[0], key)
			if err != nil {
				return evidenceError(args[0], err)
			}
			if asJSON {
				return a.printJSON(c)
			}
			return a.printChecked(args[0], c)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "the public key of who signed, in PEM; without it the folder's own is taken")
	cmd.Flags().StringVar(&proof, "proof", "", "check the proof of one object instead")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// evidenceError: a folder that was changed is a finding (exit code 3), one that is
// none is wrong usage.
func evidenceError(dir string, err error) error {
	var bad *evidence.BadError
	if !errors.As(err, &bad) {
		return err
	}
	if errors.Is(err, os.ErrNotExist) && bad.File == "public.pem" {
		return unusableBecause(err, "the folder "+dir+" holds no evidence", "name the folder that `reseal report --evidence` wrote")
	}
	return &untrustedError{what: bad.Error(), fix: "do not rely on it; ask for it again from who signed it"}
}

func (a *app) printChecked(dir string, c *evidence.Checked) error {
	w := table(a.stdout)
	fmt.Fprintf(w, "evidence\t%s: unchanged since it was signed\n", object.Printable(dir))
	fmt.Fprintf(w, "job\t%s\n", object.Printable(c.Predicate.Job))
	fmt.Fprintf(w, "made\t%s by reseal %s\n", c.Predicate.Made.Format("2006-01-02 15:04:05 MST"), object.Printable(c.Predicate.Version))
	fmt.Fprintf(w, "rows\t%s\n", objects(c.Predicate.Rows))
	fmt.Fprintf(w, "key\t%s\n", object.Printable(c.KeyID))
	if c.Own {
		fmt.Fprint(w, "\tit is the folder's own: compare it with one that came to you another way, or give that with --key\n")
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

func (a *app) checkProof(dir, proof string, key crypto.PublicKey) error {
	if key == nil {
		return unusable("--proof wants the key of who signed", "give it with --key")
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "envelope.json"))
	if err != nil {
		return unusableBecause(err, "the envelope", "name the folder of the evidence")
	}
	data, err := os.ReadFile(proof)
	if err != nil {
		return unusableBecause(err, "--proof", "name a file that `reseal explain --proof` made")
	}
	row, err := evidence.CheckProof(data, sealed, key)
	if err != nil {
		return &untrustedError{what: err.Error(), fix: "do not rely on it"}
	}
	return a.printJSON(row)
}

// proveOne writes the proofs of one object: one line a version.
func (a *app) proveOne(dir string, args []string) error {
	is, err := rowOf(args)
	if err != nil {
		return err
	}
	proofs, err := evidence.ProveRows(dir, is)
	if err != nil {
		return evidenceError(dir, err)
	}
	if len(proofs) == 0 {
		return unusablef("compare how its key is written in report.csv", "the evidence in %s has no row of that object", dir)
	}
	for i := range proofs {
		data, err := json.Marshal(&proofs[i])
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.stdout, "%s\n", data); err != nil {
			return err
		}
	}
	return nil
}

// rowOf finds the rows of an object that is named by its address, or of a file of a folder that
// was uploaded, by its path: there may be no job any more that tells where the folder ends.
func rowOf(args []string) (is func(bucket, key string) bool, err error) {
	if bucket, key, err := oneObject(args, ""); err == nil {
		return func(b, k string) bool { return b == bucket && k == key }, nil
	} else if len(args) == 0 || strings.HasPrefix(args[0], "s3://") {
		return nil, err
	}
	path, err := absSlashed(args[0])
	return func(b, k string) bool {
		return object.IsFolder(b) && strings.TrimSuffix(filepath.ToSlash(b), "/")+"/"+k == path
	}, err
}
