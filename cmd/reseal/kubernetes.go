package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
)

// kubernetesFlags are what the printed Job is made of.
type kubernetesFlags struct {
	place                   placeFlags
	image, name, namespace  string
	account, roleARN, claim string
	mount, cpu, memory      string
	parallelism, user       int
	run                     []string // more arguments of the pods' run
}

func newKubernetes(a *app) *cobra.Command {
	var f kubernetesFlags
	cmd := &cobra.Command{
		Use:   "kubernetes --job DIR --parallelism N [-- RUN-FLAG…]",
		Short: "Print the Indexed Job that works on a job's shards",
		Long: `kubernetes prints an Indexed Job of Kubernetes for a job that ` + "`reseal plan --shards N`" + ` has
divided: an index a shard, so many pods at a time, and what becomes of a pod by the exit
codes of reseal. The service account stands before it, and the least IAM policy above
that, as a comment. Nothing is sent to any cluster.

A job whose state lies in a bucket (--job s3://…) needs nothing else: its pods share no
disk. A job directory lies on a volume that every pod mounts (ReadWriteMany) and that
has locks which hold between machines; docs/shards.md says what that takes.`,
		Example: "  reseal kubernetes --job s3://state/jobs/bucket --parallelism 16 --image registry.example/reseal:1 | kubectl apply -f -\n" +
			"  reseal kubernetes --job /jobs/bucket --parallelism 16 --image registry.example/reseal:1 -- --max-requests-per-second 2000 | kubectl apply -f -",
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				args = args[:dash]
			}
			return atMost(0)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.validateRun(args); err != nil {
				return err
			}
			j, err := a.existingJob(cmd.Context(), &f.place)
			if err != nil {
				return err
			}
			if j.Division == nil {
				return unusablef("divide a new one with `reseal plan SOURCE --sse TYPE --job DIR --shards N`", "kubernetes: the job in %s has no shards, and each pod works on one", j.Dir)
			}
			if err := f.validate(j); err != nil {
				return err
			}
			policy, err := f.policy(cmd, j)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(visible([]byte(f.manifest(j, policy))))
			return err
		},
	}
	set := cmd.Flags()
	f.place.AddFlags(set)
	set.IntVar(&f.parallelism, "parallelism", 0, "how many pods work at a time; all shards, and at most 16, by default")
	set.StringVar(&f.image, "image", "reseal:"+readVersion().Version, "the image, whose entry point is reseal")
	set.StringVar(&f.name, "name", "reseal", "the name of the Job")
	set.StringVar(&f.namespace, "namespace", "", "the namespace; the current one by default")
	set.StringVar(&f.account, "service-account", "reseal", "the service account, which is printed too")
	set.StringVar(&f.roleARN, "role-arn", "", "the IAM role of the service account, on EKS")
	set.StringVar(&f.claim, "claim", "reseal-jobs", "the claim of the volume that the job directory lies on")
	set.StringVar(&f.mount, "mount", "", "where it is mounted; the directory above the job's by default")
	set.StringVar(&f.cpu, "cpu", "1", "the CPU that a pod asks for")
	set.StringVar(&f.memory, "memory", "1Gi", "the memory that a pod asks for, and is held to")
	set.IntVar(&f.user, "user", podUser(), "the user that pods run as, which the job directory has to belong to")
	return cmd
}

// podUser is who the job directory belongs to, or somebody who is not root.
func podUser() int {
	if u := os.Getuid(); u > 0 {
		return u
	}
	return 65532
}

var (
	label    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$`)
	quantity = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?$`)
)

// maxParallelism is what Kubernetes takes.
const maxParallelism = 100_000

func (f *kubernetesFlags) validate(j *job.Job) error {
	for _, n := range []struct{ flag, value string }{{"--name", f.name}, {"--namespace", f.namespace}, {"--service-account", f.account}, {"--claim", f.claim}} {
		if n.value != "" && !label.MatchString(n.value) {
			return unusablef("use lower-case letters, digits and dashes, at most 52 of them", "%s %q is no name in Kubernetes", n.flag, n.value)
		}
	}
	for _, q := range []struct{ flag, value string }{{"--cpu", f.cpu}, {"--memory", f.memory}} {
		if !quantity.MatchString(q.value) {
			return unusablef("write it as 500m, 2 or 1Gi", "%s %q is no quantity in Kubernetes", q.flag, q.value)
		}
	}
	if f.parallelism == 0 {
		f.parallelism = min(16, len(j.Division.Shards))
	}
	if f.parallelism < 0 || f.parallelism > maxParallelism {
		return unusablef(fmt.Sprintf("give a number from 1 to %d", maxParallelism), "--parallelism %d", f.parallelism)
	}
	if f.user <= 0 {
		return unusablef("name one that is not root, and let the job directory belong to it", "--user %d", f.user)
	}
	if j.InBucket() {
		return nil
	}
	if f.mount == "" {
		f.mount = filepath.Dir(j.Dir)
	}
	if rel, err := filepath.Rel(f.mount, j.Dir); err != nil || !filepath.IsAbs(f.mount) || f.mount == "/" || strings.HasPrefix(rel, "..") {
		return unusablef("name a directory above it other than /, by its full path", "--mount %s does not hold the job in %s", f.mount, j.Dir)
	}
	return nil
}

// validateRun takes what each pod adds to its run: pace and times, and nothing that would
// make it another job or shard.
func (f *kubernetesFlags) validateRun(args []string) error {
	var how howFlags
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	set.Usage = func() {}
	how.AddPaceFlags(set)
	how.AddRunFlags(set)
	const fix = "what follows -- is flags of `reseal run` that say how fast and when it works"
	if err := set.Parse(args); err != nil {
		return unusableBecause(err, "kubernetes", fix)
	}
	if set.NArg() > 0 {
		return unusablef(fix, "kubernetes: unexpected argument %q", set.Arg(0))
	}
	if _, err := how.Limits(); err != nil {
		return err
	}
	f.run = args
	return nil
}

// policy is the least IAM policy of the job, as a comment.
func (f *kubernetesFlags) policy(cmd *cobra.Command, j *job.Job) (string, error) {
	configured, err := configuredRegion(cmd.Context(), &j.Spec.Connection)
	if err != nil {
		return "", err
	}
	var places []job.Place
	for _, p := range j.Division.Places {
		places = append(places, p.Place)
	}
	doc := policyOf(&order{spec: j.Spec, policy: j.Policy}, places, configured, false, "")
	if j.InBucket() {
		addState(&doc, j.Dir)
	}
	text, err := doc.JSON()
	if err != nil {
		return "", err
	}
	return "# " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n# ") + "\n", nil
}

// besides is what the job names and the pods do not get from what is printed: what lies on
// the machine that the job was begun on.
func besides(s *job.Spec) string {
	var needs []string
	profiles, files := []string{s.Connection.Profile}, []string{s.Connection.CABundle}
	if s.DestConnection != nil {
		profiles = append(profiles, s.DestConnection.Profile)
	}
	for _, p := range profiles {
		if p != "" {
			needs = append(needs, "the profile "+yamlString(p)+" of the shared configuration files")
		}
	}
	t := &s.Target
	files = append(files, t.CustomerKeyFile, t.SourceKeyFile, t.ClientSide.KeyFile, t.ClientSide.SourceKeyFile)
	files = append(files, t.MoreSourceKeyFiles...)
	if !strings.HasPrefix(s.Source.Manifest, "s3://") {
		files = append(files, s.Source.Manifest)
	}
	for _, f := range files {
		if f != "" {
			needs = append(needs, "the file "+yamlString(f))
		}
	}
	if needs == nil {
		return ""
	}
	return "# Each pod needs besides, since the job names it (a volume or a secret, mounted by hand):\n#   " + strings.Join(needs, "\n#   ") + "\n"
}

// grace is how long a pod may take to end: the longest request that may be on its way,
// its repetition, and room for the rest of the drain.
func grace(p *job.Policy) int64 {
	const perSecond, timeout = 4 << 20, 60
	return max(300, 60+2*(timeout+max(p.MultipartThreshold, p.PartSize)/perSecond))
}

// yamlString is a text as YAML takes it, whatever stands in it.
func yamlString(s string) string {
	data, _ := json.Marshal(s) // a string
	return string(data)
}

// podString is a text as it reaches a pod: Kubernetes takes $$ for $ there, and $(NAME) for
// a variable.
func podString(s string) string { return yamlString(strings.ReplaceAll(s, "$", "$$")) }

func (f *kubernetesFlags) manifest(j *job.Job, policy string) string {
	namespace := ""
	if f.namespace != "" {
		namespace = "  namespace: " + f.namespace + "\n"
	}
	role := "  # annotations: {eks.amazonaws.com/role-arn: the ARN of a role with the policy above}\n"
	if f.roleARN != "" {
		role = "  annotations:\n    eks.amazonaws.com/role-arn: " + yamlString(f.roleARN) + "\n"
	}
	environment := ""
	mounts := "        - {name: jobs, mountPath: " + yamlString(f.mount) + "}\n"
	volumes := "      - name: jobs\n        persistentVolumeClaim: {claimName: " + f.claim + "}\n"
	if j.InBucket() {
		environment, mounts, volumes = podEnvironment(j), "", ""
	}
	run := ""
	for _, arg := range f.run {
		run += ", " + podString(arg)
	}
	return strings.NewReplacer( // in one go: what is put in is not looked through
		"POLICY\n", policy+besides(&j.Spec), "NAMESPACE\n", namespace, "ROLE\n", role, "NAME", f.name, "ACCOUNT", f.account,
		"COMPLETIONS", fmt.Sprint(len(j.Division.Shards)), "PARALLELISM", fmt.Sprint(f.parallelism), "GRACE", fmt.Sprint(grace(&j.Policy)),
		"USER", fmt.Sprint(f.user), "IMAGE", yamlString(f.image), "JOB", podString(j.Dir), "RUN", run, "CPU", yamlString(f.cpu), "MEMORY", yamlString(f.memory),
		"ENVIRONMENT\n", environment, "MOUNTS\n", mounts, "VOLUMES\n", volumes,
	).Replace(kubernetesJob)
}

// podEnvironment is how a pod reaches the place of a job in a bucket.
func podEnvironment(j *job.Job) string {
	text := ""
	for _, v := range [][2]string{{"AWS_ENDPOINT_URL_S3", j.Spec.Connection.EndpointURL}, {"AWS_REGION", j.Spec.Connection.Region}} {
		if v[1] != "" {
			text += fmt.Sprintf("        - {name: %s, value: %s}\n", v[0], podString(v[1]))
		}
	}
	if text != "" {
		text = "        env:\n" + text
	}
	return text
}

// kubernetesJob is the manifest; words in capitals are replaced. By exit codes: 2, nothing
// can be done as it is, ends the Job; 3, objects were left or failed, ends the index, and
// the report names them; 4 and 130, stopped on purpose or by a signal, and pods that the
// cluster took away, count as no failure; what else ends a pod is tried again.
const kubernetesJob = `# The least IAM policy of this job, for the role of the service account:
POLICY
apiVersion: v1
kind: ServiceAccount
metadata:
  name: ACCOUNT
NAMESPACE
ROLE
automountServiceAccountToken: false
---
apiVersion: batch/v1
kind: Job
metadata:
  name: NAME
NAMESPACE
  labels: {app.kubernetes.io/name: reseal}
spec:
  completionMode: Indexed
  completions: COMPLETIONS
  parallelism: PARALLELISM
  backoffLimitPerIndex: 3
  podFailurePolicy:
    rules:
    - action: Ignore
      onPodConditions:
      - {type: DisruptionTarget, status: "True"}
    - action: FailJob
      onExitCodes: {containerName: reseal, operator: In, values: [2]}
    - action: FailIndex
      onExitCodes: {containerName: reseal, operator: In, values: [3]}
    - action: Ignore
      onExitCodes: {containerName: reseal, operator: In, values: [4, 130]}
  template:
    metadata:
      labels: {app.kubernetes.io/name: reseal}
    spec:
      restartPolicy: Never
      serviceAccountName: ACCOUNT
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: GRACE
      # No fsGroup: it lets a group write, and a job directory that others may write is refused.
      securityContext:
        runAsNonRoot: true
        runAsUser: USER
        runAsGroup: USER
        seccompProfile: {type: RuntimeDefault}
      containers:
      - name: reseal
        image: IMAGE
        args: [run, --job, JOB, --shard, auto, --no-progressRUN]
ENVIRONMENT
        resources:
          requests: {cpu: CPU, memory: MEMORY}
          limits: {memory: MEMORY}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL]}
        volumeMounts:
MOUNTS
        - {name: tmp, mountPath: /tmp}
      volumes:
VOLUMES
      - name: tmp
        emptyDir: {}
`
