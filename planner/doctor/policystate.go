package doctor

import "strings"

// AddState allows what the state of a job needs that lies in a bucket below a prefix: to
// read, to write on conditions and to list, and nothing else.
func (d *Document) AddState(bucket, prefix string) {
	partition := "aws"
	for _, s := range d.Statement {
		for _, on := range s.Resource {
			if part := strings.SplitN(on, ":", 3); len(part) == 3 && part[0] == "arn" {
				partition = part[1]
			}
		}
	}
	arn := "arn:" + partition + ":s3:::" + bucket
	d.Statement = append(d.Statement,
		Statement{Sid: "ReadAndWriteState", Effect: "Allow", Action: []string{"s3:GetObject", "s3:PutObject"}, Resource: []string{arn + "/" + prefix + "*"}},
		Statement{Sid: "ListState", Effect: "Allow", Action: []string{"s3:ListBucket"}, Resource: []string{arn},
			Condition: map[string]map[string]any{"StringLike": {"s3:prefix": []string{prefix + "*"}}}})
}
