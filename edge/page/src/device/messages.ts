// JSON of the device: messages of /live (edge/src/http/live.rs), and answers to requests.

export interface Point { x: number; y: number; positive: boolean }

/** Left, top, right, bottom. */
export type Box = [number, number, number, number];

export interface Prompt { points: Point[]; box: Box | null }

/** State of the service. */
export interface Status {
  kind: 'status';
  build: string;
  source: {
    state: 'starting' | 'playing' | 'ended' | 'refused' | 'lost';
    code: 'unreachable' | 'stalled' | 'broken' | null;
    reason: string | null;
  };
  activity: 'running' | 'frozen' | 'paused';
  degradation: { level: number; cause: 'heat' | 'throttling' | 'slowness' | null };
  reload: Reload;
  /** Builds that can be chosen; undefined on a device with one. */
  builds?: OfferedBuild[];
  broker: 'connected' | 'away';
  latency_ms: number | null;
  /** Number of examinations to choose from. */
  presets: number;
  /** Time of opening of the study; null without one. */
  study_opened_us: number | null;
  /** True if there is a worklist to choose the patient from. */
  worklist: boolean;
  /** Null if the device stores no captures. */
  records: RecordCounts | null;
  diagnostic: boolean;
  /** Null unless frozen. */
  cine: CineExtent | null;
  disk_free_gb: number | null;
  battery: { percent: number; mains: boolean } | null;
  /** True if there is a stick for copies of captures; null on a device that makes none. */
  stick: boolean | null;
  /** Undefined if the device knows no users. */
  sign_in?: SignIn;
}

/** State of the replacement of the build. */
export interface Reload { state: 'idle' | 'loading' | 'updating' | 'failed'; reason?: string | null }

export interface RecordCounts {
  kept: number;
  refused: number;
  deleted: number;
  /** Code of the reason for the last refusal. */
  refused_because: string | null;
}

/** Frames of the cine buffer, the number of the one that is shown, and the time from first to last. */
export interface CineExtent { frames: number; shown: number; span_ms: number }

/** Names of users, and the time without a touch that locks the screen. */
export interface SignIn { users: string[]; lock_after_ms: number }

export interface OfferedBuild {
  /** `main`, or the name of its file. */
  name: string;
  in_use: boolean;
  /** Name and version; null until it is checked. */
  build: string | null;
  classes: string[];
  /** Reason why it cannot be used. */
  unavailable: string | null;
}

/** Prompts of all objects, and the names of objects by number. */
export interface PromptsMessage {
  kind: 'prompts';
  objects: (Prompt & { object: number })[];
  names: Record<string, string>;
}

export type Message = Status | PromptsMessage;

export interface Slot {
  name: string;
  version: string;
  role: 'in-use' | 'on-trial' | 'staged' | 'rollback' | 'previous' | 'failed';
}

/** Answer to GET /build. */
export interface Build {
  name: string;
  version: string;
  classes: string[];
  base: string;
  adapter: string | null;
  precision: 'f32' | 'int8';
  agreement: { mean_iou: number; min_iou: number; masks: number } | null;
  slots: { a?: Slot | null; b?: Slot | null } | null;
  /** True if the device can look for a newer build. */
  update: boolean;
  builds: OfferedBuild[];
}

/** An examination, with the build that it needs, if any. */
export interface Preset { name: string; build: string | null }

/** Patient and examination, as DICOM describes them; empty texts are not known. */
export interface StudyDetails {
  patient_id: string;
  patient_name: string;
  /** `YYYYMMDD`. */
  birth_date: string;
  sex: string;
  accession_number: string;
  study_uid: string;
  referring_physician: string;
  procedure_id: string;
  procedure: string;
  step_id: string;
  step: string;
  modality: string;
}

/** An open study. */
export interface Study extends StudyDetails { uid: string; opened_us: number }

/** A planned examination; `time` is `HH:MM`, or empty. */
export interface PlannedExamination { time: string; study: StudyDetails }

/** Answer to GET /worklist. */
export interface Planned { examinations: PlannedExamination[]; is_complete: boolean }

/** Answer to GET /records/<id>: the content of record.json, and the state of its delivery. */
export interface RecordJson {
  build: { name: string; version: string };
  operator?: string;
  study?: Study;
  objects: RecordedObject[];
  clip?: { frames: number; first_us: number; last_us: number };
  upload: 'delivered' | 'waiting' | 'none' | 'unknown';
  archive?: { state: 'waiting' | 'sent' | 'asked' | 'kept' | 'refused' };
}

export interface RecordedObject {
  label: string;
  object: number;
  state: 'segmented' | 'followed' | 'uncertain';
  score: number;
  area_px: number;
  prompt: Prompt;
  measured: RecordedMeasures | null;
  /** File of the mask; null for an empty one. */
  mask: string | null;
}

export interface RecordedMeasures {
  parts: number;
  area_px: number;
  longest_px: number;
  shortest_px: number;
  area_mm2: number | null;
  longest_mm: number | null;
  shortest_mm: number | null;
  contour_px: [number, number][];
}
