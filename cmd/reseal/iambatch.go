package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/planner/doctor"
)

// batchPolicyFlags say whose policy is printed, where S3 Batch Operations does the job.
type batchPolicyFlags struct {
	whom                       oneOf
	manifestTo, reportTo, role string
}

func (f *batchPolicyFlags) AddFlags(set *pflag.FlagSet) {
	set.Var(&f.whom, "for", "whose policy to print")
	set.StringVar(&f.manifestTo, "manifest-to", "", "as of submit: where manifests go")
	set.StringVar(&f.reportTo, "report-to", "", "as of submit: where reports go")
	set.StringVar(&f.role, "role-arn", "", "as of submit: the role that may be passed on; any by default")
}

// text is the policy as IAM takes it; state is the place of the job in a bucket, if that is
// where it lies. tried says that the store is tried on throwaway objects first.
func (f *batchPolicyFlags) text(o *order, needs []doctor.Needs, state string, tried bool) ([]byte, error) {
	if f.whom.value == "run" || f.whom.value == "minio" {
		doc := doctor.PolicyOfAll(needs)
		if state != "" {
			addState(&doc, state)
		}
		switch {
		case f.whom.value == "minio":
			doc = doc.ForMinIO()
		case tried:
			doc = doc.WithThrowaways()
		}
		return doc.JSON()
	}
	if state != "" {
		return nil, unusable("iam-policy: --job is the place of a job's state, which submit does not take", "leave --for or --job away")
	}
	if f.whom.value == "batch-operations-trust" {
		return doctor.BatchTrust()
	}
	if !needs[0].CanBatch() || len(o.spec.Source.Several) > 0 {
		return nil, unusable("iam-policy: S3 Batch Operations cannot do this job", "leave --for away, and do it with `reseal run`")
	}
	if f.manifestTo == "" {
		return nil, unusable("iam-policy: --manifest-to is missing", "name where `reseal submit` is to write its manifests")
	}
	b := doctor.BatchNeeds{RoleARN: f.role}
	manifests, err := placeOf("--manifest-to", f.manifestTo)
	if err != nil {
		return nil, err
	}
	reports, err := placeOf("--report-to", f.reportTo)
	if err != nil {
		return nil, err
	}
	if reports == (job.Place{}) {
		reports = manifests
	}
	b.ManifestBucket, b.ManifestPrefix = manifests.Bucket, belowSlash(manifests.Prefix)
	b.ReportBucket, b.ReportPrefix = reports.Bucket, belowSlash(reports.Prefix)
	if f.whom.value == "submit" {
		return doctor.BatchCaller(doctor.PolicyOfAll(needs), needs[0], b).JSON()
	}
	return doctor.BatchRole(needs, b).JSON()
}

// belowSlash is a prefix as submit writes below it.
func belowSlash(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return prefix
}
