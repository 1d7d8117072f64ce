package planner

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Prices is what a store charges, by storage class, in one currency. Amounts are
// before discounts.
type Prices struct {
	// Date of the price list, as YYYY-MM-DD: an estimate says how old it is.
	Date     string `json:"date"`
	Region   string `json:"region"`
	Currency string `json:"currency"`
	Note     string `json:"note,omitempty"`
	// KMSPer10000 requests.
	KMSPer10000 float64 `json:"kms_per_10000"`
	// Of S3 Batch Operations: each job, and a million objects in jobs.
	BatchPerJob     float64               `json:"batch_per_job"`
	BatchPerMillion float64               `json:"batch_per_million"`
	Classes         map[string]ClassPrice `json:"classes"`
}

// ClassPrice is the part of the price list that one storage class has.
type ClassPrice struct {
	PutPer1000     float64 `json:"put_per_1000"`
	GetPer1000     float64 `json:"get_per_1000"`
	StorageGBMonth float64 `json:"storage_gb_month"`
	RetrievalGB    float64 `json:"retrieval_gb"`
	// MinimumDays are paid for even if an object is overwritten earlier, and
	// MinimumBytes even if it is smaller.
	MinimumDays  int   `json:"minimum_days"`
	MinimumBytes int64 `json:"minimum_bytes"`
}

//go:embed prices.json
var embeddedPrices []byte

// DefaultPrices is the list that reseal was built with.
func DefaultPrices() *Prices {
	p, err := ParsePrices(embeddedPrices)
	if err != nil {
		panic(err) // a test reads it
	}
	return p
}

// ParsePrices reads a price list in the form of prices.json.
func ParsePrices(data []byte) (*Prices, error) {
	var p Prices
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("the price list: %w", err)
	}
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		return nil, errors.New(`the price list: "date" must be of the form 2026-01-31`)
	}
	if _, ok := p.Classes["STANDARD"]; !ok || p.Currency == "" {
		return nil, errors.New(`the price list: "currency" and the class STANDARD are required`)
	}
	for name, c := range p.Classes {
		for _, v := range []float64{c.PutPer1000, c.GetPer1000, c.StorageGBMonth, c.RetrievalGB, float64(c.MinimumDays), float64(c.MinimumBytes), p.KMSPer10000, p.BatchPerJob, p.BatchPerMillion} {
			if v < 0 {
				return nil, fmt.Errorf("the price list: a price of class %s is negative", name)
			}
		}
	}
	return &p, nil
}

// class is the price of a storage class; an unknown one is taken for STANDARD.
func (p *Prices) class(name string) ClassPrice {
	if c, ok := p.Classes[className(name)]; ok {
		return c
	}
	return p.Classes["STANDARD"]
}

func className(name string) string {
	if name == "" {
		return "STANDARD"
	}
	return name
}
