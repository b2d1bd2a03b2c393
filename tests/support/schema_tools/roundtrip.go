// roundtrip FILE: the message through the generated TYPE, as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	data, _ := os.ReadFile(os.Args[1])
	var message TYPE
	if err := json.Unmarshal(data, &message); err != nil {
		panic(err)
	}
	out, _ := json.Marshal(message)
	fmt.Println(string(out))
}
