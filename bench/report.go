package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what one call of bench has measured.
type Report struct {
	At      time.Time `json:"at"`
	Machine Machine   `json:"machine"`
	Tables  []*Table  `json:"tables"`
}

// Machine is where it was measured.
type Machine struct {
	OS     string `json:"os"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
	Kernel string `json:"kernel,omitempty"`
}

// Table is one comparison: the same work, done by several.
type Table struct {
	Workload string `json:"workload"`
	// What is said once about all rows: the work, the server.
	What string `json:"what"`
	// Columns in the order to print; a row may lack some.
	Columns []Column `json:"columns"`
	Rows    []Row    `json:"rows"`
	// Notes are sentences about what the figures are not.
	Notes []string `json:"notes,omitempty"`
}

// Column is one figure and how to print it.
type Column struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	// Ratio prints, beside the figure, how many times that of the first row it is.
	Ratio bool `json:"ratio,omitempty"`
}

// Row is one participant: the median of its rounds, figure by figure.
type Row struct {
	Name    string             `json:"name"`
	Version string             `json:"version,omitempty"`
	Objects int                `json:"objects"`
	Median  map[string]float64 `json:"median"`
	Rounds  []Figures          `json:"rounds"`
}

// Figures are those of one round, by column.
type Figures map[string]float64

// add notes one round of a participant.
func (t *Table) add(name, version string, objects int, f Figures) {
	i := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Name == name })
	if i < 0 {
		t.Rows = append(t.Rows, Row{Name: name, Version: version, Objects: objects})
		i = len(t.Rows) - 1
	}
	r := &t.Rows[i]
	r.Rounds = append(r.Rounds, f)
	r.Median = map[string]float64{}
	for column := range f {
		var all []float64
		for _, round := range r.Rounds {
			if v, ok := round[column]; ok {
				all = append(all, v)
			}
		}
		r.Median[column] = median(all)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}

// writeText prints a table for people.
func (t *Table) writeText(w io.Writer) error {
	fmt.Fprintf(w, "\n%s: %s\n\n", t.Workload, t.What)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	head := []string{"", "objects", "rounds"}
	for _, c := range t.Columns {
		head = append(head, c.Name)
		if c.Ratio {
			head = append(head, "")
		}
	}
	fmt.Fprintln(tw, strings.Join(head, "\t")+"\t")
	for _, r := range t.Rows {
		line := []string{r.Name, fmt.Sprint(r.Objects), fmt.Sprint(len(r.Rounds))}
		for _, c := range t.Columns {
			v, ok := r.Median[c.Name]
			first := t.Rows[0].Median[c.Name]
			if ok {
				line = append(line, fmt.Sprintf(c.Format, v))
			} else {
				line = append(line, "–")
			}
			switch {
			case c.Ratio && ok && first > 0:
				line = append(line, fmt.Sprintf("×%.2f", v/first))
			case c.Ratio:
				line = append(line, "")
			}
		}
		fmt.Fprintln(tw, strings.Join(line, "\t")+"\t")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, n := range t.Notes {
		fmt.Fprintln(w, "  "+n)
	}
	return nil
}

// writeJSON keeps everything, the rounds too.
func (r *Report) writeJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func thisMachine() Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(data))
	}
	return m
}
