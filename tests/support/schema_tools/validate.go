// validate SCHEMAS MESSAGES: each message by its folder's schema; one JSON line for each.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func main() {
	schemas, _ := filepath.Glob(filepath.Join(os.Args[1], "*.schema.json"))
	for _, path := range schemas {
		topic := strings.TrimSuffix(filepath.Base(path), ".schema.json")
		schema := jsonschema.NewCompiler().MustCompile(path)
		files, _ := filepath.Glob(filepath.Join(os.Args[2], topic, "*"))
		for _, file := range files {
			open, _ := os.Open(file)
			value, err := jsonschema.UnmarshalJSON(open)
			if err != nil {
				panic(err)
			}
			line, _ := json.Marshal([]any{topic, filepath.Base(file), schema.Validate(value) == nil})
			fmt.Println(string(line))
		}
	}
}
