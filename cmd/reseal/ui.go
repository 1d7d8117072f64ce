package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/livepage"
	"github.com/resealhq/reseal/engine/report"
)

func newUI(a *app) *cobra.Command {
	var place placeFlags
	var addr string
	cmd := &cobra.Command{
		Use:   "ui --job DIR",
		Short: "A live page of a job, for a browser on this machine",
		Long: `ui serves a page that shows a job while it works: what is done, how fast, what holds it
back, how long it still takes, what was left or failed; and that pauses it, resumes it and
sets its ceiling, as ` + "`reseal set`" + ` does. It prints the page's address, which holds a token, and
serves it on this machine alone until it is interrupted. ` + "`reseal run --ui ADDR`" + ` serves the
same page from the run itself.

From elsewhere the page is reached through a tunnel: ssh -L 8080:127.0.0.1:8080 HOST`,
		Example: `  reseal ui --job ~/jobs/bucket
  reseal ui --job ~/jobs/bucket --addr 127.0.0.1:8080`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := a.existingJob(cmd.Context(), &place)
			if err != nil {
				return err
			}
			server, err := servePage("--addr", addr, j, place.reached)
			if err != nil {
				return err
			}
			defer func() { _ = server.Close() }()
			if _, err := fmt.Fprintln(a.stdout, server.URL()); err != nil {
				return fmt.Errorf("writing to standard output: %w", err)
			}
			<-cmd.Context().Done()
			return nil
		},
	}
	place.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "where to serve it, on this machine; port 0 takes a free one")
	return cmd
}

// servePage serves the live page of a job; flag is what named the address, reached is how
// the bucket is reached that the job lies in, if it does.
func servePage(flag, addr string, j *job.Job, reached job.Connection) (*livepage.Server, error) {
	p := &painter{dir: j.Dir, conn: reached, source: j.Spec.Source.String(), target: j.Spec.Target.String()}
	server, err := livepage.Listen(livepage.Options{Addr: addr, Title: p.title(), Picture: p.picture, Set: p.set})
	switch {
	case errors.Is(err, livepage.ErrNotThisMachine):
		return nil, unusableBecause(err, flag+" "+addr, "name 127.0.0.1:PORT, and reach it from elsewhere through a tunnel: ssh -L PORT:127.0.0.1:PORT HOST")
	case err != nil:
		return nil, unusableBecause(err, flag+" "+addr, "name a free port of this machine, such as 127.0.0.1:8080")
	}
	return server, nil
}

// painter makes the pictures of a job, one a second however many watch. What has to be
// asked of the checkpoint it asks every few seconds.
type painter struct {
	dir, source, target string
	conn                job.Connection // to the place of a job in a bucket

	mu struct {
		sync.Mutex
		job      *job.Job // its own, once there is one: a run changes what it holds
		last     *report.Picture
		made     time.Time
		status   *job.Status
		asked    time.Time
		failures []report.CauseSummary
		trouble  string
	}
}

const (
	pictureFor = 800 * time.Millisecond
	statusFor  = 5 * time.Second
)

func (p *painter) title() string { return "reseal: " + p.source }

func (p *painter) picture() *report.Picture {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	if m.last != nil && time.Since(m.made) < pictureFor {
		return m.last
	}
	pic := &report.Picture{Title: p.title(), Facts: []report.Fact{{Name: "Job directory", Value: p.dir}, {Name: "Source", Value: p.source}, {Name: "Target", Value: p.target}}}
	m.last, m.made = pic, time.Now()
	if p.open() != nil {
		pic.State = "being prepared"
		return pic
	}
	standing, live, atWork := m.job.Glance()
	p.ask(atWork)
	pic.History, pic.Failures, pic.Trouble = m.job.History(), m.failures, m.trouble
	switch {
	case atWork:
		pic.Standing, pic.Now, pic.Trouble = standing, live.Progress, ""
	case m.status != nil:
		s := m.status
		pic.Standing = s.Standing
		pic.Now = &report.Snapshot{Planned: s.Planned, Done: s.Done, Already: s.Already, Left: s.Left, Failed: s.Failed, Remaining: s.Remaining, Bytes: s.Bytes}
	}
	if pic.Now != nil {
		pic.Title = fmt.Sprintf("%s, %d of %d: %s", pic.State, pic.Now.Settled(), pic.Now.Planned, p.source)
	}
	if c := pic.Cause; c != nil { // the status keeps its own, which others are being shown
		own := *c
		inOurWords(&own)
		pic.Cause = &own
	}
	return pic
}

// open opens the job if there is one by now. REQUIRES: mu.
func (p *painter) open() (err error) {
	if p.mu.job == nil {
		p.mu.job, err = job.OpenContext(context.Background(), p.dir, p.conn)
	}
	return err
}

// ask asks the checkpoint. REQUIRES: mu.
func (p *painter) ask(atWork bool) {
	m := &p.mu
	every := statusFor
	if !atWork {
		every = time.Second // a process may have begun or ended
	}
	if time.Since(m.asked) < every {
		return
	}
	s, err := m.job.Status()
	m.asked, m.trouble = time.Now(), ""
	if err != nil {
		m.status, m.trouble = nil, inFlags(err.Error())
		return
	}
	m.status, m.failures = s, s.Causes
}

// set is what `reseal set` does.
func (p *painter) set(ctx context.Context, ask livepage.Ask) (string, error) {
	p.mu.Lock()
	err := p.open()
	j := p.mu.job
	p.mu.Unlock()
	if err != nil {
		return "", errors.New(inFlags(err.Error()))
	}
	s, err := j.Set(job.Change{Paused: ask.Paused, RequestsPerSecond: ask.RequestsPerSecond})
	if err != nil {
		return "", errors.New(inFlags(err.Error()))
	}
	ctx, cancel := context.WithTimeout(ctx, takeUpWithin(j))
	defer cancel()
	return setAnswer(s, j.TakenUp(ctx, s)), nil
}

// serveFrom serves the page from a run, for as long as it works; end ends that.
func (a *app) serveFrom(addr string, j *job.Job) (end func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	server, err := servePage("--ui", addr, j, j.Spec.Connection)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(a.stderr, "reseal: the live page is at %s\n", server.URL()) // in no log, since it holds the token
	return func() { _ = server.Close() }, nil
}
