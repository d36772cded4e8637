// Folds each line's messages and prints the state: node fold.mjs FILE
import { readFileSync } from "node:fs";
import { Reducer } from "./page/reducer.js";

for (const line of readFileSync(process.argv[2], "utf8").trimEnd().split("\n")) {
  const reducer = new Reducer();
  let news = 0;
  for (const message of JSON.parse(line)) news += Number(reducer.push(message));
  const labels = Object.fromEntries([...reducer.speakers.keys()].map((speaker) => [speaker, reducer.label(speaker)]));
  console.log(JSON.stringify({ ...reducer.plain(), news, labels }));
}
