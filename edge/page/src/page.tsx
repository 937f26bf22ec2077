// The whole page, in the order of its elements.

import { BuildDialog, SwitchDialog } from './dialogs/build';
import { CapturesDialog } from './dialogs/captures';
import { CleaningDialog } from './dialogs/cleaning';
import { DiscardingDialog } from './dialogs/discarding';
import { ExaminationDialog } from './dialogs/examination';
import { NamingDialog } from './dialogs/naming';
import { PatientDialog } from './dialogs/patient';
import { ReviewDialog } from './dialogs/review-dialog';
import { SettingsDialog } from './dialogs/settings';
import { SignInDialog } from './dialogs/sign-in';
import { TokenDialog } from './dialogs/token';
import { Footer } from './parts/footer';
import { Panel } from './parts/panel';
import { Stage } from './parts/stage';

export function Page() {
  return (
    <>
      <main><Stage /><Panel /><Footer /></main>
      <TokenDialog />
      <CapturesDialog />
      <ReviewDialog />
      <DiscardingDialog />
      <NamingDialog />
      <ExaminationDialog />
      <PatientDialog />
      <SettingsDialog />
      <SignInDialog />
      <CleaningDialog />
      <BuildDialog />
      <SwitchDialog />
    </>
  );
}
