package fault

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Rule is one fault rule.
type Rule struct {
	text   string
	cond   condition
	effect Fault
}

// String is the text that the rule was parsed from.
func (r *Rule) String() string { return r.text }

// Names tells S3's name of an operation that a rule names, in full or in short.
type Names func(word string) (op string, known bool)

// Parse reads one rule a line; empty lines and lines that begin with # are
// passed over.
func Parse(text string, names Names) ([]*Rule, error) {
	var rules []*Rule
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := ParseRule(line, names)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ParseRule reads (If CONDITION EFFECT).
//
//	CONDITION
//	  an operation: CopyObject …, or short Copy CopyPart Part Head Get Put Delete List
//	    ListVersions Update CreateUpload Complete Abort; Mutation, Read, Any
//	  (And C…) (Or C…) (Not C)
//	  (Key "glob") (Bucket "glob") (Sub name)      * crosses slashes
//	  (OnIndex n)   the n-th request, from 0, among those that got this far
//	  (First n) (From n) (Every n)
//	  (Random p seed)   reproducible by operation, key and repetition
//	  (PerKey C)    counters of C by object
//	EFFECT, and whether the request is applied before it
//	  Failed no; 500 InternalError      ReplyLost yes; the connection is reset
//	  Throttled no; 503 SlowDown        KMSThrottled no; 503 SlowDown in KMS's words
//	  (Throttled seconds) with Retry-After
//	  Stalled no; hangs until the client gives up
//	  Truncated yes; half the body      EmptyBody yes; 200 without a body
//	  ErrorIn200 no; <Error> in a 200   (ErrorIn200 Code "message")
//	  ExpiredToken KMSDisabled no       (Error status Code "message") no
//	  (Page status) no; a page of a proxy, without a request ID
//	  (Delay ms) yes; an ordinary reply, late
//	  (Applied E) (Unapplied E)   the same reply with or without the effect
func ParseRule(line string, names Names) (*Rule, error) {
	p := parser{tokens: tokens(line), line: line}
	n, err := p.node()
	if err != nil {
		return nil, err
	}
	if len(p.tokens) > 0 || len(n.list) != 3 || n.list[0].word != "If" {
		return nil, fmt.Errorf("rule %s: want (If CONDITION EFFECT)", line)
	}
	r := &Rule{text: line}
	if r.cond, err = condOf(n.list[1], names); err == nil {
		r.effect, err = effectOf(n.list[2])
	}
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", line, err)
	}
	return r, nil
}

// node is a word or a list.
type node struct {
	word string
	list []node
}

func (n node) head() string {
	if len(n.list) > 0 {
		return n.list[0].word
	}
	return n.word
}

func (n node) arg(i int) string {
	if i < len(n.list) {
		return n.list[i].word
	}
	return ""
}

func tokens(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		switch {
		case s[0] == '(' || s[0] == ')':
			out, s = append(out, s[:1]), s[1:]
		case s[0] == '"':
			q, err := strconv.QuotedPrefix(s)
			if err != nil {
				return append(out, s)
			}
			out, s = append(out, q), s[len(q):]
		default:
			i := strings.IndexAny(s, "() \t")
			if i < 0 {
				i = len(s)
			}
			out, s = append(out, s[:i]), s[i:]
		}
	}
	return out
}

type parser struct {
	tokens []string
	line   string
}

func (p *parser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *parser) node() (node, error) {
	switch t := p.next(); {
	case t == "(":
		n := node{list: []node{}}
		for {
			if len(p.tokens) == 0 {
				return n, fmt.Errorf("rule %s: a parenthesis is not closed", p.line)
			}
			if p.tokens[0] == ")" {
				p.next()
				return n, nil
			}
			c, err := p.node()
			if err != nil {
				return n, err
			}
			n.list = append(n.list, c)
		}
	case t == "" || t == ")":
		return node{}, fmt.Errorf("rule %s: unexpected %q", p.line, t)
	case t[0] == '"':
		u, err := strconv.Unquote(t)
		return node{word: u}, err
	default:
		return node{word: t}, nil
	}
}

func condOf(n node, names Names) (condition, error) {
	if n.list == nil {
		return wordCond(n.word, names)
	}
	switch n.head() {
	case "And", "Or", "Not":
		var cs []condition
		for _, c := range n.list[1:] {
			cond, err := condOf(c, names)
			if err != nil {
				return nil, err
			}
			cs = append(cs, cond)
		}
		switch {
		case n.head() == "And":
			return allOf(cs), nil
		case n.head() == "Or":
			return anyOf(cs), nil
		case len(cs) == 1:
			return not(cs[0]), nil
		}
	case "Key":
		return glob(func(q Request) string { return q.Key }, n.arg(1)), nil
	case "Bucket":
		return glob(func(q Request) string { return q.Bucket }, n.arg(1)), nil
	case "Sub":
		return func(q Request) bool { return q.Sub == n.arg(1) }, nil
	case "Random":
		p, err := strconv.ParseFloat(n.arg(1), 64)
		seed, _ := strconv.ParseUint(n.arg(2), 10, 64)
		return random(p, seed), err
	case "PerKey":
		if len(n.list) == 2 {
			_, err := condOf(n.list[1], names)
			return perKey(func() condition { c, _ := condOf(n.list[1], names); return c }), err
		}
	case "OnIndex", "First", "From", "Every":
		k, err := strconv.Atoi(n.arg(1))
		if err != nil || k < 0 || n.head() == "Every" && k == 0 {
			return nil, fmt.Errorf("(%s %s) wants a number", n.head(), n.arg(1))
		}
		return map[string]condition{
			"OnIndex": counting(func(i int) bool { return i == k }),
			"First":   counting(func(i int) bool { return i < k }),
			"From":    counting(func(i int) bool { return i >= k }),
			"Every":   counting(func(i int) bool { return k > 0 && (i+1)%k == 0 }),
		}[n.head()], nil
	}
	return nil, fmt.Errorf("unknown condition %s", n.head())
}

func wordCond(w string, names Names) (condition, error) {
	switch w {
	case "Mutation":
		return onMutation, nil
	case "Read":
		return onRead, nil
	case "Any":
		return onAny, nil
	}
	if op, ok := names(w); ok {
		return onOp(op), nil
	}
	return nil, fmt.Errorf("unknown operation %s", w)
}

// Answers that more than rules give.
var (
	InternalError = Answer{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
	ExpiredToken  = Answer{http.StatusBadRequest, "ExpiredToken", "The provided token has expired."}
	SlowDown      = Answer{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."}
	KMSSlowDown   = Answer{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate for operations involving AWS KMS."}
)

func effectOf(n node) (Fault, error) {
	switch n.head() {
	case "Applied", "Unapplied":
		if len(n.list) != 2 {
			break
		}
		f, err := effectOf(n.list[1])
		f.Apply = n.head() == "Applied"
		return f, err
	case "Failed":
		return Fault{Reply: Error, Answer: InternalError}, nil
	case "ReplyLost":
		return Fault{Apply: true, Reply: Lost}, nil
	case "Throttled":
		return Fault{Reply: Error, Answer: SlowDown, RetryAfter: n.arg(1)}, nil
	case "KMSThrottled":
		return Fault{Reply: Error, Answer: KMSSlowDown, RetryAfter: n.arg(1)}, nil
	case "Stalled":
		return Fault{Reply: Stalled}, nil
	case "Truncated":
		return Fault{Apply: true, Reply: Truncated}, nil
	case "EmptyBody":
		return Fault{Apply: true, Reply: Empty}, nil
	case "ErrorIn200":
		a := Answer{http.StatusOK, InternalError.Code, InternalError.Message}
		if n.arg(1) != "" {
			a.Code, a.Message = n.arg(1), n.arg(2)
		}
		return Fault{Reply: ErrorIn200, Answer: a}, nil
	case "ExpiredToken":
		return Fault{Reply: Error, Answer: ExpiredToken}, nil
	case "KMSDisabled":
		return Fault{Reply: Error, Answer: Answer{http.StatusBadRequest, "KMS.DisabledException", "The KMS key is disabled."}}, nil
	case "Error":
		status, err := strconv.Atoi(n.arg(1))
		return Fault{Reply: Error, Answer: Answer{status, n.arg(2), n.arg(3)}}, err
	case "Page":
		status, err := strconv.Atoi(n.arg(1))
		return Fault{Reply: Page, Answer: Answer{Status: status}}, err
	case "Delay":
		ms, err := strconv.Atoi(n.arg(1))
		return Fault{Apply: true, Delay: time.Duration(ms) * time.Millisecond}, err
	}
	return Fault{}, fmt.Errorf("unknown effect %s", n.head())
}
